"""A warm kernel in which a stranger's notebook can do no harm; Linux only.

    view.py         the allow-list root that bubblewrap builds: what exists inside
    zygote.py       the fork server that lives inside: has imported the stack once, forks one kernel per request
    isolate.py      what a forked child does to itself before any of the student's code runs
    seccomp.py      the system calls that it can then no longer make
    linux.py        the system calls that this takes and that Python lacks
    kernel.py       the IPython kernel that it then becomes
    limits.py       how much of the machine it may use
    watch.py        the eye on memory and processes where no cgroup can be had
    host.py         the outside: starts, restarts and shares the zygote, asks it for kernels
    provisioner.py  the same as a jupyter_client kernel provisioner, `lfi-sandbox`

zygote.py and what it imports run inside and need only the standard library until the stack is imported.
"""
