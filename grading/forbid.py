"""Makes library routines unavailable in the student's kernel while a task is checked for which they are the answer.

Like stub.py, this file's source is sent into the kernel. It is meant against temptation and casual tricks: an alias
taken earlier, getattr, importlib, torch.ops, a further process. It runs in the student's own process, so who really
wants to can undo it; that is why uses in the source are reported as well (grading/shortcuts.py).
"""

import contextlib
import functools
import gc
import importlib
import os
import sys
import types

PROCESS_EVENTS = {"subprocess.Popen", "os.system", "os.fork", "os.forkpty", "os.posix_spawn", "os.exec", "os.spawn"}
_now = {"modules": frozenset(), "routines": (), "hooked": False}

_BLOCKER = """
def blocked(*args, **kwargs):
    raise type("ForbiddenShortcut", (type({0!r}, (Exception,), {{}}),), {{}})("{0} is the task itself")
"""


def blocker(routine):
    """A function that raises ForbiddenShortcut and needs nothing of the module in which it stands."""
    names = {}
    exec(compile(_BLOCKER.format(routine), "<lfi>", "exec"), names)
    return names["blocked"]


class Closed:
    """Stands where a routine was."""

    def __init__(self, block):
        self.__call = block

    def __call__(self, *args, **kwargs):
        return self.__call()

    def __getattr__(self, name):
        if name.startswith("_"):
            raise AttributeError(name)
        return self.__call()


def found(routine):
    """The object behind a dotted name with its owner and its name there; None if it does not exist here."""
    parts = routine.split(".")
    owner = None
    for end in range(len(parts) - 1, 0, -1):
        try:
            owner = importlib.import_module(".".join(parts[:end]))
        except ImportError:
            continue
        break
    try:
        for part in parts[end:-1]:
            owner = getattr(owner, part)
        return getattr(owner, parts[-1]), owner, parts[-1]
    except AttributeError:
        return None


def swap(undo, owner, name, value):
    """Set an attribute, and note how to set it back."""
    old = getattr(owner, name)
    setattr(owner, name, value)
    undo.callback(setattr, owner, name, old)


def swap_code(undo, function, block):
    """Give a Python function another body; this reaches every alias of it."""
    code = block.__code__.replace(co_freevars=function.__code__.co_freevars)
    swap(undo, function, "__code__", code)


def close(undo, routine, thing, owner, name):
    """Make one routine raise, by the means that its kind allows."""
    block = blocker(routine)
    thing = getattr(thing, "__func__", thing)
    if isinstance(thing, functools.partial):
        thing = thing.func
    if isinstance(thing, types.FunctionType):
        swap_code(undo, thing, block)
        inner = getattr(thing, "__wrapped__", None)
        if isinstance(inner, types.FunctionType):
            swap_code(undo, inner, block)
    elif isinstance(thing, type) and isinstance(vars(thing).get("__init__"), types.FunctionType):
        for method in ("__init__", "forward", "__call__"):
            if isinstance(vars(thing).get(method), types.FunctionType):
                swap_code(undo, vars(thing)[method], block)
    elif hasattr(thing, "overloads") and hasattr(thing, "_op"):  # torch.ops
        for operator in (thing, *(getattr(thing, overload) for overload in thing.overloads())):
            swap(undo, operator, "_op", block)
    else:
        closed = Closed(block)
        swap(undo, owner, name, closed)
        rebind(undo, thing, closed, routine.split(".")[0])


def rebind(undo, thing, block, home):
    """Replace a routine that cannot be changed itself wherever the student's own objects hold it."""
    foreign = foreign_names(home)
    for holder in gc.get_referrers(thing):  # nothing in this function may close over `thing`, or it finds itself
        if type(holder) is dict and id(holder) not in foreign:
            replace(undo, holder, list(holder.items()), thing, block)
        elif type(holder) is list:
            replace(undo, holder, list(enumerate(holder)), thing, block)
        elif type(holder) is types.CellType and holder.cell_contents is thing:
            swap(undo, holder, "cell_contents", block)
        elif type(holder) is functools.partial and holder.func is thing:
            state = holder.__reduce__()[2]
            holder.__setstate__((block, *state[1:]))
            undo.callback(holder.__setstate__, state)
        elif type(holder) is tuple:
            rebind_defaults(undo, holder, thing, block)


def replace(undo, holder, places, thing, block):
    """Replace a value of a dict or a list."""
    for key, value in places:
        if value is thing:
            holder[key] = block
            undo.callback(put_back, holder, key, block, thing)


def rebind_defaults(undo, values, thing, block):
    """The same for a function that holds it as the default of an argument."""
    for function in gc.get_referrers(values):
        if isinstance(function, types.FunctionType) and function.__defaults__ is values:
            swap(undo, function, "__defaults__", tuple([block if value is thing else value for value in values]))


def put_back(holder, key, block, thing):
    """Undo a replacement that is still there."""
    with contextlib.suppress(LookupError):
        if holder[key] is block:
            holder[key] = thing


def foreign_names(home):
    """The namespaces of libraries that may go on using a routine: neither of its home package nor the student's own."""
    found = set()
    for name, module in list(sys.modules.items()):
        parts = name.split(".")
        path = getattr(module, "__file__", None)
        own = name == "__main__" or not isinstance(path, str) or path.startswith(os.getcwd())
        at_home = parts[0] == home and not any(part.startswith("_") for part in parts)
        if isinstance(module, types.ModuleType) and not own and not at_home:
            found.add(id(vars(module)))
    return found


def watch(event, args):
    """Python's audit hook; it sees the start of processes and fresh imports however they are spelled."""
    routines = _now["routines"]
    if routines and (event in PROCESS_EVENTS or (event == "import" and args[0] in _now["modules"])):
        blocker(routines[0])()


def forbid(routines, undo):
    """Make routines unavailable.

    Args:
        routines: Dotted names.
        undo: An ExitStack; closing it makes them available again.

    Returns:
        The names that exist here.
    """
    known = [(routine, place) for routine in routines if (place := found(routine)) is not None]
    if not _now["hooked"]:
        sys.addaudithook(watch)
        _now["hooked"] = True
    for routine, (thing, owner, name) in known:
        close(undo, routine, thing, owner, name)
    _now["modules"] = frozenset(getattr(owner, "__name__", "") for _, (_, owner, _) in known)
    _now["routines"] = tuple(routine for routine, _ in known)
    undo.callback(_now.update, modules=frozenset(), routines=())
    return list(_now["routines"])
