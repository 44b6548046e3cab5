"""Untrusted Python under limits, and a verdict that it cannot forge.

The program runs in one process (the solver), its tests in another (the tester), where every function of the program is a
stub. They exchange plain data; what the tests expect never enters the solver, and only the tester gives a verdict. Both are
forked from a warm process (the zygote) and confined before a line of the program or of the tests is read.

    runner   the side that asks: Sandbox.check(program, tests, ...) -> Execution        (import this one)
    warm     the runner's view of the warm process       clock    how much of its time a program has used
    libraries  what programs may import, and which library was missing
    tiers    what confines programs on this machine, found by trying
    plain    which tests may share a tester           outputs  compares what a script printed with what is expected

    inside/  runs without the rest of datakit, on the standard library alone
        zygote   the warm process: forks solvers and testers, ends them, owns the working folder
        confine  Landlock, seccomp, limits: what a fork gives up before it reads anything
        visible  what programs may import and read
        solver   runs the program                         tester  runs the tests
        stubs    the program as its tests see it          wire    the data between solver and tester
        sets     sets in their original order            frames  arrays and tables
        surroundings   what tests patch and seed
        folder   the working folder                       settings  the messages between runner and zygote

The `__init__.py` files of both folders import nothing, because the warm process loads them; of `inside`, datakit's own process
uses only `settings`.
"""
