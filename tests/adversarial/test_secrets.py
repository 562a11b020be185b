"""Nothing that is hidden or private can be read or reached from a notebook."""

import os
import subprocess

import pytest

from grading.course import CHECKOUT

from .conftest import SECRET

READERS = {
    "environment": "import os\nprint(dict(os.environ))",
    "own process": "print(open('/proc/self/environ').read(), open('/proc/self/cmdline').read())",
    "other processes": """
import glob
for path in glob.glob('/proc/[0-9]*/*'):
    try: print(path, open(path).read()[:2000])
    except OSError as e: pass
""",
    "whole tree": """
import os
for folder, folders, files in os.walk('/'):
    if folder.startswith(('/proc', '/usr', '/lib')): continue
    for name in files:
        path = os.path.join(folder, name)
        if 'canary' in path or path.endswith(('test_mini.py', 'gradebook.db', '.ipynb')): print('FOUND', path)
    if 'site-packages' in folder or '/lib/python' in folder: folders.clear()
""",
    "by path": "print(open({canary!r}).read())",
    "by link": "import os\nos.symlink({canary!r}, 'x')\nprint(open('x').read())",
    "through root of a process": """
import glob
for path in glob.glob('/proc/[0-9]*/root' + {canary!r}) + glob.glob('/proc/[0-9]*/cwd/*'): print(open(path).read())
""",
    "checks": "print(open({checks!r}).read())",
    "import of checks": "import grading.checks.test_mini as t\nprint(open(t.__file__).read())",
    "import of the harness": "import grading.course\nprint(grading.course.Course())",
    "memory of the process": """
import gc
print([x for x in gc.get_objects() if isinstance(x, dict) and any('canary' in str(k) for k in list(x)[:50])])
""",
    "open files": """
import os
for fd in os.listdir('/proc/self/fd'):
    try: print(fd, os.readlink('/proc/self/fd/' + fd))
    except OSError: pass
""",
    "subprocess": """
import subprocess
print(subprocess.run(['sh', '-c', 'env; ps ax; cat /etc/shadow {canary}'], capture_output=True))
""",
    "other kernels' folders": """
import os
print([os.listdir(x) for x in ('/jobs', '/course', '/job')], os.listdir('/jobs')[0])
""",
}


@pytest.mark.parametrize("name", READERS)
def test_secrets_cannot_be_read(grade, canary, built_course, name):
    file, _ = canary
    checks = built_course / "grading" / "checks" / "test_mini.py"
    code = READERS[name].replace("{canary!r}", repr(str(file))).replace("{checks!r}", repr(str(checks)))
    graded = grade(first=code.replace("{canary}", str(file)))
    assert SECRET not in graded.everything
    assert "FOUND" not in graded.printed()
    assert "every_element" not in graded.printed()
    assert graded.scores == (4.0, 2.0, 3.0)


LISTED = """
import os
def visible(path):
    try: return sorted(os.listdir(path))
    except OSError as error: return type(error).__name__
for path in {paths!r}: print(path, visible(path))
print('uid', os.getuid(), 'pids', [p for p in os.listdir('/proc') if p.isdigit()], 'parent', os.getppid())
print({{line.split(':')[0]: line.split()[1] for line in open('/proc/self/status') if line[:3] in ('Cap', 'NoN')}})
"""


def test_the_view_holds_what_is_needed_and_no_more(grade):
    secret = [str(CHECKOUT / name) for name in ("solutions", "tests", ".git", "grading/checks", "grading/work")]
    graded = grade(first=LISTED.format(paths=[*secret, "/root/.ssh", "/home", "/mnt", "/srv", "/var", "/run", "/sys"]))
    lines = graded.printed().splitlines()
    assert all(line.endswith("FileNotFoundError") or "/root" in line for line in lines[:-2]), lines
    assert "pids ['1']" in lines[-2]
    assert "parent 0" in lines[-2]
    assert "'CapEff': '0000000000000000'" in lines[-1]
    assert "'CapBnd': '0000000000000000'" in lines[-1]
    assert "'NoNewPrivs': '1'" in lines[-1]


def test_files_that_were_handed_in_are_there_but_no_notebook(grade):
    graded = grade(
        first="import os\nprint(sorted(os.listdir()), open('notes.txt').read())", files=["notes.txt", "b.ipynb"]
    )
    assert graded.printed() == f"['notes.txt'] {SECRET}\n"


def test_links_that_were_handed_in_are_not_followed(grade, canary, tmp_path_factory):
    from grading.sandbox.host import KernelFolder

    source = tmp_path_factory.mktemp("handed-in")
    (source / "link.txt").symlink_to(canary[0])
    (source / "folder").symlink_to(canary[0].parent)
    os.mkfifo(source / "pipe")
    spool = tmp_path_factory.mktemp("spool")
    for name in ("jobs", "lines"):
        (spool / name).mkdir()
    folder = KernelFolder(str(spool / "zygote.sock"))
    folder.bring(source, 1000)
    assert [path.name for path in (folder.inside / "files").rglob("*")] == []


NETWORK = {
    "internet": "import socket\nsocket.create_connection(('1.1.1.1', 53), 1)",
    "name": "import socket\nsocket.getaddrinfo('example.org', 80)",
    "host's loopback": "import socket\nsocket.create_connection(('127.0.0.1', {port}), 1)",
    "host's abstract socket": "import socket\nsocket.socket(socket.AF_UNIX).connect({abstract!r})",
    "vsock": "import socket\nsocket.socket(socket.AF_VSOCK, socket.SOCK_STREAM)",
    "raw": "import socket\nsocket.socket(socket.AF_INET, socket.SOCK_RAW, 1)",
    "packet": "import socket\nsocket.socket(socket.AF_PACKET, socket.SOCK_RAW)",
    "kernel crypto": "import socket\nsocket.socket(socket.AF_ALG, socket.SOCK_SEQPACKET)",
    "download": "import urllib.request\nurllib.request.urlopen('http://example.org', timeout=2)",
}


@pytest.mark.parametrize("name", NETWORK)
def test_there_is_no_network(grade, name):
    import socket

    abstract = f"\0lfi-test-{os.getpid()}"
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket(socket.AF_UNIX) as local:
        local.bind(abstract)
        local.listen()
        code = NETWORK[name].format(port=server.getsockname()[1], abstract=abstract)
        lines = "\n".join("    " + line for line in code.splitlines())
        graded = grade(first=f"try:\n{lines}\n    print('REACHED')\nexcept OSError as error:\n    print('no', error)")
    assert graded.printed().startswith("no")


TAMPERING = {
    "writes outside": "open('/usr/bin/x', 'w')",
    "writes to the course": "open('/course/helpers/__init__.py', 'a')",
    "writes to packages": "import numpy\nopen(numpy.__file__, 'a')",
    "writes to its line": "open('/job/x', 'w')",
    "kernel settings": "open('/proc/sys/kernel/core_pattern', 'w')",
    "system request": "open('/proc/sysrq-trigger', 'w').write('b')",
    "mounts": "import ctypes\nassert ctypes.CDLL(None).mount(b'x', b'/tmp', b'tmpfs', 0, None) == 0, 'no'",
    "unmounts": "import ctypes\nassert ctypes.CDLL(None).umount2(b'/jobs', 2) == 0, 'no'",
    "new user namespace": "import ctypes\nassert ctypes.CDLL(None).unshare(0x10000000) == 0, 'no'",
    "clone into one": "import ctypes\nassert ctypes.CDLL(None).syscall(56, 0x10000011, 0, 0, 0, 0) >= 0, 'no'",
    "traces": "import ctypes\nassert ctypes.CDLL(None).ptrace(16, 1, 0, 0) == 0, 'no'",
    "eBPF": "import ctypes\nassert ctypes.CDLL(None).syscall(321, 0, 0, 0) >= 0, 'no'",
    "io_uring": "import ctypes\nassert ctypes.CDLL(None).syscall(425, 1, 0) >= 0, 'no'",
    "becomes root": "import os\nos.setuid(0)",
    "raises limits": "import resource\nresource.setrlimit(resource.RLIMIT_CPU, (10**6, 10**6))",
    "chroot": "import os\nos.chroot('/tmp')",
    "device": "import os, stat\nos.mknod('/tmp/mem', 0o600 | stat.S_IFCHR, os.makedev(1, 1))",
    "set-uid program": "import subprocess\nsubprocess.run(['su', '-c', 'id'], check=True, stdin=-3)",
    "signals the host": "import os\nos.kill({pid}, 9)",
    "signals everything": "import os\nos.kill(-1, 9)",
}


@pytest.mark.parametrize("name", TAMPERING)
def test_nothing_outside_can_be_changed(grade, canary, name):
    code = TAMPERING[name].format(pid=canary[1].pid)
    lines = "\n".join("    " + line for line in code.splitlines())
    graded = grade(
        first=f"try:\n{lines}\n    print('DONE')\nexcept BaseException as error:\n    print('no', repr(error))"
    )
    assert graded.printed().startswith("no"), graded.printed()
    assert graded.scores == (4.0, 2.0, 3.0)


def test_one_submission_leaves_nothing_for_the_next(grade):
    write = """
import os
for folder in ('/tmp', '/dev/shm', os.path.expanduser('~'), '.'):
    open(folder + '/left-behind', 'w').write('x')
"""
    look = """
import os
folders = ('/tmp', '/dev/shm', os.path.expanduser('~'), '.')
print([folder for folder in folders if os.path.exists(folder + '/left-behind')])
"""
    assert grade(first=write).scores == (4.0, 2.0, 3.0)
    assert grade(first=look).printed() == "[]\n"


def test_kernels_draw_different_random_numbers(grade):
    code = "import random, torch\nprint(random.random(), np.random.rand(), torch.rand(1).item())"
    one, other = (grade(last=code).printed().split() for _ in range(2))
    assert all(a != b for a, b in zip(one, other, strict=True))


def test_no_process_is_left_behind(grade):
    marker = "lfi-left-behind-marker"
    code = f"""
import subprocess, os
subprocess.Popen(['sh', '-c', 'sleep 77; : {marker}'], start_new_session=True)
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        import time; time.sleep(77)
    os._exit(0)
"""
    assert grade(first=code).scores == (4.0, 2.0, 3.0)
    found = subprocess.run(["ps", "axww", "-o", "args"], capture_output=True, text=True, check=True).stdout
    assert marker not in found
