"""The sandbox itself: equal to an ordinary kernel, quick, restarted, shared, refused in a sentence, for every user."""

import os
import random
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
from traitlets.config import Config

from grading.course import CHECKOUT, UserError
from grading.sandbox import host, seccomp
from grading.sandbox.host import Zygote, why_not
from grading.sandbox.limits import Cgroup, Limits
from grading.session import KernelSession, ordinary, sandboxed

needs_sandbox = pytest.mark.skipif(why_not() is not None, reason=str(why_not()))

CELLS = [
    "%matplotlib inline\nimport numpy as np\nimport matplotlib.pyplot as plt",
    "x = np.linspace(0, 6, 50)\nplt.plot(x, np.sin(x), label='a line')\nplt.legend()\nplt.title('Überschrift $x^2$')",
    "fig, axes = plt.subplots(1, 2, figsize=(6, 2))\naxes[0].imshow(np.eye(8))\naxes[1].hist(x)\nplt.show()\nfig",
    "from IPython.display import HTML, display\ndisplay(HTML('<b>bold</b>'))\nx[:3]",
    "print('out')\nimport sys\nprint('err', file=sys.stderr)\n1 + 1",
    "h = display('first', display_id=True)\nh.update('second')",
    "from IPython.display import clear_output\nprint('gone')\nclear_output()\nprint('stays')",
    "1 / 0",
    "def f(:",
    "!echo hello",
    "import torch, cv2\ntorch.manual_seed(0)\nprint(torch.rand(2), cv2.GaussianBlur(np.eye(5), (3, 3), 0)[0])",
    "from tqdm import tqdm\nfor _ in tqdm(range(2), ncols=20, bar_format='{n}/{total}'): pass",
    "get_ipython().__class__.__name__, 'IPKernelApp' in get_ipython().config, plt.get_backend(), __name__",
    "plt.rcParams['figure.dpi'], plt.rcParams['figure.figsize'], plt.isinteractive()",
    "import os\nos.environ['MPLBACKEND']",
    "_, __, In[-2:], len(Out) > 2",
    "exit",
]


def outputs_of(make_manager, cells):
    session = KernelSession(make_manager)
    session.start()
    try:
        return [session.run(cell, 60) for cell in cells]
    finally:
        session.stop()


@needs_sandbox
def test_outputs_are_those_of_an_ordinary_kernel():
    ours, plain = outputs_of(sandboxed, CELLS), outputs_of(ordinary, CELLS)
    pictures = 0
    for cell, one, other in zip(CELLS, ours, plain, strict=True):
        for ran in (one, other):
            for output in ran.outputs:
                output.pop("traceback", None)
        assert (one.end, one.execution_count) == (other.end, other.execution_count), cell
        assert one.outputs == other.outputs, cell
        pictures += sum("image/png" in output.get("data", {}) for output in one.outputs)
    assert pictures == 3


@pytest.fixture
def session():
    session = KernelSession(sandboxed)
    yield session
    session.stop()


SETUP = "import random\nrandom.seed(3)"
SLEEPS = "import threading, time\nthreading.Thread(target=time.sleep, args=(60,)).start()"
PROLOGUE = (SETUP, "drawn = [random.random()]\ndef latest():\n    return drawn[-1]")


@pytest.fixture
def begun():
    """A function that starts a kernel after a prologue."""
    sessions = []

    def begin(*prologue):
        session = KernelSession(sandboxed, prologue=prologue)
        sessions.append(session)
        session.start()
        return session

    yield begin
    for session in sessions:
        session.stop()


def printed(session, code):
    ran = session.run(f"print({code})", 30)
    return "".join(output.get("text", output.get("evalue", "")) for output in ran.outputs).strip()


@needs_sandbox
def test_kernels_begin_after_the_prologue_and_share_nothing_afterwards(begun):
    first, second = begun(*PROLOGUE), begun(*PROLOGUE)
    assert float(printed(first, "latest()")) == random.Random(3).random()
    assert printed(first, "drawn.append('mine') or latest()") == "mine"
    assert float(printed(second, "latest()")) == random.Random(3).random()
    assert printed(first, "__name__, latest.__globals__ is globals()") == "__main__ True"


@needs_sandbox
def test_random_numbers_go_on_after_the_prologue_as_if_all_had_run_here(begun):
    session = begun(*PROLOGUE)
    assert session.run(SETUP, 30).end == "ok"
    ours = random.Random(3)
    ours.random()
    assert float(printed(session, "random.random()")) == ours.random()


@needs_sandbox
@pytest.mark.parametrize("last", ["1 / 0", SLEEPS, "%magic"])
def test_where_the_prologue_cannot_run_beforehand_kernels_begin_without_it(begun, last):
    session = begun(SETUP, f"drawn = 1\n{last}")
    assert printed(session, "drawn") == "name 'drawn' is not defined"


@needs_sandbox
def test_a_dead_zygote_is_restarted(session):
    Zygote.shared()
    session.start()
    zygote = Zygote._shared
    if zygote is None:
        pytest.skip("the zygote belongs to another process")
    before = zygote.process.pid
    zygote.process.kill()
    ran = session.run("import time; time.sleep(30)", 30)
    assert ran.end == "lost"
    session.stop()
    session.start()
    assert session.run("1 + 1", 10).end == "ok"
    assert Zygote._shared.process.pid != before


@needs_sandbox
def test_other_processes_share_the_zygote():
    address = Zygote.shared()
    code = """
        from grading.session import KernelSession, sandboxed
        from grading.sandbox.host import Zygote
        session = KernelSession(sandboxed)
        session.start()
        print(session.run("1 + 1", 10).end, Zygote._shared)
        session.stop()
    """
    environment = os.environ | {"LFI_ZYGOTE": address}
    command = [sys.executable, "-c", textwrap.dedent(code)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout == "ok None\n", done.stderr


@needs_sandbox
def test_a_zygote_that_is_gone_is_replaced_by_an_own_one(tmp_path, monkeypatch):
    monkeypatch.setenv("LFI_ZYGOTE", str(tmp_path / "nothing.sock"))
    assert Path(Zygote.shared()).exists()


@needs_sandbox
def test_the_end_of_the_grader_is_the_end_of_everything():
    code = """
        import os, signal, sys
        from grading.session import KernelSession, sandboxed
        from grading.sandbox.host import Zygote
        session = KernelSession(sandboxed)
        session.start()
        print(Zygote._shared.process.pid, session._process.pid, Zygote._shared.spool, flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
    """
    environment = {name: value for name, value in os.environ.items() if name != "LFI_ZYGOTE"}
    command = [sys.executable, "-c", textwrap.dedent(code)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    *processes, spool = done.stdout.split()
    end = time.monotonic() + 10
    while any(Path("/proc", process).exists() for process in processes) and time.monotonic() < end:
        time.sleep(0.05)
    assert not any(Path("/proc", process).exists() for process in processes)
    shutil.rmtree(spool)


@needs_sandbox
def test_limits_are_settings():
    config = Config()
    config.SandboxProvisioner.open_files = 50
    session = KernelSession(sandboxed, config)
    session.start()
    try:
        ran = session.run("import resource; print(resource.getrlimit(resource.RLIMIT_NOFILE))", 10)
    finally:
        session.stop()
    assert ran.outputs[0].text == "(50, 50)\n"


@needs_sandbox
@pytest.mark.parametrize(
    ("code", "why"),
    [
        ("x = [b'x' * (8 << 20) for _ in range(100)]", "needed more memory"),
        ("import time, threading\nfor _ in range(60): threading.Thread(target=time.sleep, args=(9,)).start()\n"
         "time.sleep(9)", "started more processes"),
    ],
)  # fmt: skip
def test_limits_hold_without_cgroups(monkeypatch, code, why):
    """The eye of the zygote replaces them; resource limits would come first and are widened here."""
    monkeypatch.setattr(Cgroup, "create", lambda *args, **kwargs: None)
    monkeypatch.setattr(Limits, "rlimits", lambda self, own_user: {"CORE": 0})
    config = Config()
    config.SandboxProvisioner.memory = 400 << 20
    config.SandboxProvisioner.processes = 40
    session = KernelSession(sandboxed, config)
    session.start()
    try:
        assert session.run("1", 10).end == "ok"
        ran = session.run(code, 10)
    finally:
        session.stop()
    assert ran.end == "ended"
    assert why in ran.why


# ---------------------------------------------------------------- where there is no sandbox


def test_without_bubblewrap_it_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "apt-get install bubblewrap" in why_not()
    assert "--unsafe" in why_not()
    monkeypatch.delenv("LFI_ZYGOTE", raising=False)
    monkeypatch.setattr(Zygote, "_shared", None)
    session = KernelSession(sandboxed)
    with pytest.raises(UserError, match="apt-get install bubblewrap"):
        session.start()


def test_without_namespaces_it_says_what_to_allow(monkeypatch, tmp_path):
    fake = tmp_path / "bwrap"
    fake.write_text("#!/bin/sh\necho 'bwrap: No permissions to create new namespace' >&2\nexit 1\n")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    sentence = why_not()
    assert "No permissions to create new namespace" in sentence
    assert "allow user namespaces" in sentence


def test_a_zygote_that_cannot_start_is_a_sentence(monkeypatch, tmp_path):
    fake = tmp_path / "bwrap"
    fake.write_text("#!/bin/sh\necho 'bwrap: out of luck' >&2\nexit 1\n")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    zygote = Zygote()
    with pytest.raises(UserError, match="out of luck"):
        zygote.wait_until_ready()
    zygote.close()
    assert not zygote.spool.exists()


def test_a_long_path_is_no_place_for_sockets(monkeypatch, tmp_path):
    deep = tmp_path / ("x" * 100)
    deep.mkdir()
    monkeypatch.setattr(host.tempfile, "gettempdir", lambda: str(deep))
    folder = host.spool_folder()
    assert len(str(folder / "lines" / "0123456789-1")) < host.PATH_LIMIT
    folder.rmdir()


ORDINARY_USER = """
import os
os.setgroups([]); os.setresgid({user}, {user}, {user}); os.setresuid({user}, {user}, {user})
os.environ["HOME"] = os.environ["TMPDIR"] = {home!r}
from grading.session import KernelSession, sandboxed
session = KernelSession(sandboxed)
session.start()
ran = session.run("import os; print(os.getuid(), os.listdir('/proc')[-1], os.path.exists({home!r}))", 20)
print(ran.outputs[0].text)
print(session.run("import ctypes; ctypes.string_at(0)", 20).why)
session.stop()
"""


@needs_sandbox
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_it_works_for_an_ordinary_user():
    """As user `nobody`, if the packages can be read by everybody."""
    import tempfile

    home = tempfile.mkdtemp(prefix="lfi-nobody-", dir="/tmp")
    os.chown(home, 65534, 65534)
    become = "import os; os.setgroups([]); os.setresgid(65534, 65534, 65534); os.setresuid(65534, 65534, 65534); "
    trial = subprocess.run([sys.executable, "-c", become + "import logging, torch"], capture_output=True, check=False)
    if trial.returncode != 0:
        shutil.rmtree(home)
        pytest.skip("an ordinary user cannot read Python or its packages here")
    code = ORDINARY_USER.format(user=65534, home=home)
    environment = {name: value for name, value in os.environ.items() if name != "LFI_ZYGOTE"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    shutil.rmtree(home)
    assert "1000" in done.stdout, done.stderr
    assert "False" in done.stdout
    assert "segmentation fault" in done.stdout


# ---------------------------------------------------------------- parts


def run_filter(code, architecture, number, first=0, third=0):
    """What the filter says about a system call."""
    import struct

    data = struct.pack("<IIQ6Q", number, architecture, 0, first, 0, third, 0, 0, 0)
    program = [struct.unpack_from("HBBI", code, offset) for offset in range(0, len(code), 8)]
    at = value = 0
    while True:
        operation, if_true, if_false, k = program[at]
        at += 1
        if operation == seccomp.RETURN:
            return k
        if operation == seccomp.LOAD:
            value = struct.unpack_from("<I", data, k)[0]
        else:
            test = {
                seccomp.EQUAL: value == k,
                seccomp.AT_LEAST: value >= k,
                seccomp.ANY_BIT: bool(value & k),
            }[operation]
            at += if_true if test else if_false


@pytest.mark.parametrize("machine", seccomp.ARCHITECTURES)
def test_the_filter_says_what_it_should(machine):
    code = seccomp.program(machine)
    architecture, column = seccomp.ARCHITECTURES[machine]

    def says(number, **arguments):
        return run_filter(code, architecture, number, **arguments)

    for numbers in seccomp.DENIED.values():
        if numbers[column] is not None:
            assert says(numbers[column]) == seccomp.REFUSE | 1
    for usual in (0, 1, 3, 9, 12) if machine == "x86_64" else (56, 57, 63, 64, 222):
        assert says(usual) == seccomp.ALLOW
    clone, socket_ = seccomp.CLONE[column], seccomp.SOCKET[column]
    assert says(clone, first=signal.SIGCHLD) == seccomp.ALLOW
    assert says(clone, first=0x3D0F00) == seccomp.ALLOW  # a thread
    assert says(clone, first=0x10000000 | signal.SIGCHLD) != seccomp.ALLOW
    assert says(seccomp.CLONE3[column]) != seccomp.ALLOW
    assert [family for family in range(60) if says(socket_, first=family) == seccomp.ALLOW] == [1, 2, 10, 16]
    assert says(socket_, first=16, third=12) != seccomp.ALLOW  # netfilter
    assert run_filter(code, 0x40000003, 1) == seccomp.KILL


def fake_mount(folder, *controllers):
    for controller in controllers:
        (folder / controller).mkdir(parents=True)
    return folder


def test_cgroups_of_version_1(tmp_path, monkeypatch):
    monkeypatch.setattr("grading.sandbox.limits._own_group", lambda controller: "/")
    group = Cgroup.create("lfi-x", Limits(memory=1000, processes=5), fake_mount(tmp_path, "memory", "pids"))
    assert (tmp_path / "memory/lfi-x/memory.limit_in_bytes").read_text() == "1000"
    assert (tmp_path / "pids/lfi-x/pids.max").read_text() == "5"
    group.add(42)
    assert (tmp_path / "memory/lfi-x/cgroup.procs").read_text() == "42"
    assert group.reached() is None
    (tmp_path / "memory/lfi-x/memory.oom_control").write_text("oom_kill_disable 0\nunder_oom 0\noom_kill 1\n")
    assert group.reached() == "memory"
    (tmp_path / "memory/lfi-x/memory.max_usage_in_bytes").write_text("900\n")
    assert group.peak() == 900


def test_cgroups_of_version_2(tmp_path, monkeypatch):
    monkeypatch.setattr("grading.sandbox.limits._own_group", lambda controller: "/user.slice")
    (tmp_path / "user.slice").mkdir()
    (tmp_path / "cgroup.controllers").write_text("memory pids")
    (tmp_path / "user.slice/cgroup.subtree_control").write_text("memory pids")
    group = Cgroup.create("lfi-x", Limits(memory=1000, processes=5), tmp_path)
    folder = tmp_path / "user.slice/lfi-x"
    assert (folder / "memory.max").read_text() == "1000"
    assert (folder / "pids.max").read_text() == "5"
    (folder / "pids.events").write_text("max 3\n")
    assert group.reached() == "processes"
    (folder / "memory.events").write_text("low 0\nhigh 0\nmax 9\noom 1\noom_kill 1\n")
    assert group.reached() == "memory"


def test_no_cgroup_where_nothing_may_be_written(tmp_path):
    assert Cgroup.create("lfi-x", Limits(), tmp_path / "nothing") is None


def test_nothing_of_the_course_but_helpers_and_data_is_in_the_view():
    from grading.sandbox import view

    arguments = view.bwrap_arguments(Path("/spool"), several_ids=False)
    shown = [Path(arguments[i + 1]) for i, word in enumerate(arguments) if word.startswith("--ro-bind")]
    inside = [path.relative_to(CHECKOUT) for path in shown if path.is_relative_to(CHECKOUT)]
    top = {path.parts[0] for path in inside if path.parts}
    assert top <= {"helpers", "data", "grading", ".venv"}
    grading = [str(path) for path in inside if path.parts[:1] == ("grading",)]
    assert grading == ["grading/__init__.py", "grading/sandbox"]
    assert not any(CHECKOUT.is_relative_to(path) for path in shown)


def test_the_package_is_its_own_map():
    """Each file of the package is in its overview."""
    import grading.sandbox

    files = {path.name for path in Path(grading.sandbox.__file__).parent.glob("*.py")} - {"__init__.py"}
    assert all(name in grading.sandbox.__doc__ for name in files)
