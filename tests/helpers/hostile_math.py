"""Answers made to hang, to crash or to be run."""

HUNDRED_KB = 100_000
TIMEOUT, CALM = {"timeout", "error"}, {"failed", "unparseable", "timeout", "error"}
JUDGED = {"failed", "unparseable"}


def boxed(text):
    return f"\\boxed{{{text}}}"


def nested(opening, closing, depth, inside="5"):
    return opening * depth + inside + closing * depth


# What it attacks, the response, and the outcomes that are right for it: never `passed`, unless it is.
HOSTILE = [
    # what hung or ate the memory of the checkers that were measured
    ("a power tower", boxed("9^{9^{9^9}}"), CALM),
    ("a power tower without braces", boxed("9^9^9^9"), CALM),
    ("a power tower in a fraction", boxed(r"\frac{1}{9^{9^{9^9}}}"), CALM),
    ("a negative power tower", boxed("9^{-9^{9^9}}"), CALM),
    ("a factorial of a thousand million", boxed("10^9!"), CALM),
    ("factorials of factorials, 826 MB", boxed("((9!)!)!"), CALM),
    ("a factorial in words of LaTeX", boxed(r"{(10^{9})}!"), CALM),
    ("a binomial", boxed(r"\binom{10^8}{5\cdot 10^7}"), CALM),
    ("a sum", boxed(r"\sum_{n=1}^{10^9} \frac{1}{n^2+n+1}"), CALM),
    ("a sum of sines", boxed(r"\sum_{n=1}^{10^9} \sin(n)"), CALM),
    ("a product", boxed(r"\prod_{n=1}^{10^9} n"), CALM),
    ("an integral", boxed(r"\int_0^1 \sin(\sin(\sin(x^x))) dx"), CALM),
    ("an integral that sympy ponders", boxed(r"\int \frac{e^{x^2}\ln(\tan x)}{x^7+x+1} dx"), CALM),
    ("a limit", boxed(r"\lim_{x \to 0} \frac{\sin(\tan x)-\tan(\sin x)}{x^7}"), CALM),
    ("a power of a sum", boxed("(x+y+z+1)^{2000}"), CALM),
    ("a root of a root", boxed(nested(r"\sqrt{2+", "}", 90)), CALM),
    ("2,000 parentheses", boxed(nested("(", ")", 2000)), JUDGED),
    ("400 parentheses around the right answer", boxed(nested("(", ")", 400)), {"passed"}),
    ("2,000 braces", boxed(nested("{", "}", 2000)), JUDGED),
    ("400 braces", boxed(nested("{", "}", 400)), CALM | {"passed"}),
    ("2,000 fractions", boxed(nested(r"\frac{1}{", "}", 2000)), JUDGED),
    ("90 fractions", boxed(nested(r"\frac{1}{1+", "}", 85)), CALM),
    ("2,000 roots", boxed(nested(r"\sqrt{", "}", 2000)), JUDGED),
    ("400 minus signs", boxed("-" * 401 + "5"), CALM),
    ("400 absolute values", boxed("|" * 400 + "5" + "|" * 400), CALM | {"passed"}),
    ("a set of 3,000 elements", boxed(r"\{" + ",".join(map(str, range(3000))) + r"\}"), JUDGED),
    ("a set of 300 elements", boxed(r"\{" + ",".join(map(str, range(250))) + r"\}"), CALM),
    ("a list of 150 symbols", boxed(",".join(f"x_{{{n}}}" for n in range(140))), CALM),
    ("a matrix of 100 x 100", boxed(r"\begin{pmatrix}" + r"\\".join(["&".join("1" * 100)] * 100) + r"\end{pmatrix}"), JUDGED),
    ("a determinant", boxed(r"\begin{vmatrix}" + r"\\".join(["&".join("abcdefghij")] * 10) + r"\end{vmatrix}"), CALM),
    ("100,000 digits", boxed("7" * HUNDRED_KB), JUDGED),
    ("900 digits", boxed("7" * 900), {"failed"}),
    ("a huge exponent", boxed("10^{999999999999}"), CALM),
    ("a tiny number", boxed("10^{-999999999999}"), CALM),
    ("a decimal exponent", boxed("1.1^{1000000000.5}"), CALM),
    ("scientific notation", boxed(r"1.5 \times 10^{99999999}"), CALM),
    ("modulo", boxed(r"7^{7^{7^7}} \mod 1000"), CALM),
    ("a logarithm of a tower", boxed(r"\log(\log(9^{9^{9^9}}))"), CALM),
    ("an equation to solve", boxed("x^{50}+x^{49}y^3+y^{47}=z^{31}"), CALM),
    # extraction
    ("boxes in boxes", nested(r"\boxed{", "}", 3000, "6"), JUDGED),
    ("100 kB of opened boxes", r"\boxed{" * 14_000, JUDGED),
    ("100 kB of dollar signs", "$" * HUNDRED_KB, JUDGED),
    ("100 kB of answer", "answer " * 14_000, JUDGED),
    ("100 kB of digits and commas", "1," * 50_000, JUDGED),
    ("100 kB of signs and numbers", "-1/-" * 25_000, JUDGED),
    ("100 kB of blanks between boxes", r"\boxed{1}" + " " * HUNDRED_KB + r"\boxed{6}", {"failed"}),
    ("100 kB of backslashes", "\\" * HUNDRED_KB, JUDGED),
    ("100 kB of Chinese therefores", "因此" * 25_000, JUDGED),
    ("100 kB of opened environments", r"\begin{align}" * 7_000, CALM),
    ("100 kB of quotes in JSON", '"answer": "' + '\\"' * 50_000, JUDGED),
    # characters
    ("NUL bytes", boxed("\0" * 50 + "6"), CALM),
    ("a lone surrogate", boxed("6\ud800"), CALM),
    ("right-to-left override", boxed("\u202e6\u202c"), CALM),
    ("combining marks", boxed("6" + "\u0301" * 500), CALM),
    ("digits of another script", boxed("\u0666"), CALM),
    ("an emoji", boxed("\U0001f600"), CALM),
    # code
    ("Python", boxed("__import__('os').system('touch PWNED')"), CALM),
    ("Python in the text", "The answer is __import__('os').system('touch PWNED')", CALM),
    ("attributes of sympy", boxed("x.__class__.__mro__[1].__subclasses__()"), CALM),
    ("a lambda", boxed("(lambda: exit())()"), CALM),
    ("sympify bait", boxed('S("__import__(\'os\').system(\'touch PWNED\')")'), CALM),
    ("a format string", boxed("{0.__class__}%s%n"), CALM),
    ("a shell command", boxed("$(touch PWNED); `touch PWNED`"), CALM),
    (r"\input", boxed(r"\input{/etc/passwd}\write18{touch PWNED}"), CALM),
    # form
    ("closed and never opened", boxed("6}}}}") + "}}}", JUDGED),
    ("opened and never closed", r"\boxed{\frac{6}{", JUDGED),
    ("mismatched environments", boxed(r"\begin{pmatrix} 6 \end{align}"), CALM),
    ("a union of nothing", boxed(r"\cup\cup\cup"), CALM),
    ("an empty box", r"\boxed{}", JUDGED),
    ("operators alone", boxed("+-*/^!"), CALM),
]  # fmt: skip
