"""`train retriever`: MK-TOD's retriever and generator of dialogues over a knowledge base (arXiv 2310.08877)."""
