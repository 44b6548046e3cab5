"""A model server for faults only: answers the few requests that datakit makes, at once, and starts a worker of its own.

    python stand_in.py ... --port PORT [--hang | --slow-to-die | --end]

Its worker lives in a session of its own, as those of big servers may, and ends by SIGKILL only with --slow-to-die.
"""

import argparse
import json
import signal
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

WORKER = "import signal, sys, time; 'slow' in sys.argv[1] and signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # an answer in one piece: in two the second one waits for the client to acknowledge the first

    def do_GET(self):
        self._answer({"data": []})

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        time.sleep(0.02)
        texts = [f"{body['seed']}-{at}: the answer is 4" for at in range(body.get("n", 1))]
        choices = [{"index": at, "finish_reason": "stop", "message": {"content": text}} for at, text in enumerate(texts)]
        self._answer({"choices": choices, "usage": {"prompt_tokens": 3, "completion_tokens": 8 * len(choices)}})

    def _answer(self, answer):
        content = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


class Server(ThreadingHTTPServer):
    request_queue_size = 256


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    for knob in ("--hang", "--slow-to-die", "--end"):
        parser.add_argument(knob, action="store_true")
    options, _ = parser.parse_known_args()
    worker = subprocess.Popen([sys.executable, "-c", WORKER, "slow" if options.slow_to_die else ""], start_new_session=True)
    print(f"the stand-in has a worker: {worker.pid}", flush=True)
    if options.end:
        sys.exit("Error: this stand-in does not want to")
    if options.hang:
        time.sleep(600)
    server = Server(("127.0.0.1", options.port), Handler)
    signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
    server.serve_forever()


if __name__ == "__main__":
    main()
