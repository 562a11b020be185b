"""What honest students do costs nothing: warnings, prints, figures, odd types; what is banned earns nothing."""

import pytest

RIGHT = (4.0, 2.0, 3.0)
FIRST = {
    "warns": "import warnings, sys\nwarnings.warn('careful')\nprint('careful', file=sys.stderr)",
    "plots": "import matplotlib.pyplot as plt\nplt.plot([1, 2])\nplt.show()",
    "changes the folder": "import os\nos.makedirs('data/x', exist_ok=True)\nos.chdir('data')",
    "writes files": "open('result.txt', 'w').write('1')\nprint(open('result.txt').read())",
    "fails": "1 / 0",
    "syntax error": "def broken(:\n    pass",
    "magics": "%matplotlib inline\n%load_ext autoreload\n%autoreload 2",
    "shell": "!echo hello",
    "timing": "%timeit -n1 -r1 sum(range(10))",
    "progress bar": "from tqdm.auto import tqdm\nfor _ in tqdm(range(3)): pass",
    "widgets": "import ipywidgets\nipywidgets.IntSlider()",
    "threads": "import concurrent.futures as c\nwith c.ThreadPoolExecutor(4) as p: print(list(p.map(abs, [-1, 2])))",
    "processes": "import multiprocessing as m\nwith m.get_context('fork').Pool(2) as p: print(p.map(abs, [-1, 2]))",
    "data loader": """
import torch
from torch.utils.data import DataLoader, TensorDataset
print([len(b) for b in DataLoader(TensorDataset(torch.zeros(6, 2)), batch_size=3, num_workers=2)])
""",
    "training": """
import torch
net = torch.nn.Sequential(torch.nn.Conv2d(1, 4, 3), torch.nn.Flatten(), torch.nn.Linear(4 * 36, 2))
loss = net(torch.zeros(2, 1, 8, 8)).square().sum(); loss.backward(); print(float(loss) >= 0)
""",
    "subprocess": "import subprocess\nprint(subprocess.run(['ls'], capture_output=True, text=True, check=True).stdout)",
    "another python": "import subprocess, sys\nprint(subprocess.run([sys.executable, '-c', 'import cv2'], check=True))",
    "temporary files": "import tempfile\nwith tempfile.NamedTemporaryFile() as f: f.write(b'x')",
    "fonts": "import matplotlib.font_manager as f\nprint(len(f.fontManager.ttflist) > 0)",
    "shared memory": "import multiprocessing.shared_memory as s\nm = s.SharedMemory(create=True, size=99)\nm.unlink()",
    "semaphores": "import multiprocessing\nmultiprocessing.Lock()",
    "who am I": "import getpass, os, pwd\nprint(getpass.getuser(), os.path.expanduser('~'), pwd.getpwuid(os.getuid()))",
    "async": "import asyncio\nawait asyncio.sleep(0.01)",
    "asks for the time": "import time, datetime\nprint(time.localtime(), datetime.datetime.now())",
    "helpers": "import helpers.seeds, helpers.datasets\nprint(helpers.datasets.photo('coins').shape)",
}
ANSWERS = {
    "float scalar": "def double(x):\n    print('working')\n    return np.asarray(2 * x)",
    "list": "def double(x):\n    return (2 * np.asarray(x)).tolist() if np.size(x) else 2 * x",
    "helper": "def twice(x):\n    return x + x\n\ndef double(x):\n    return twice(x)",
    "class": "class Doubler:\n    def __call__(self, x):\n        return 2 * x\n\ndouble = Doubler()",
    "partial": "import functools\ndouble = functools.partial(lambda a, x: a * x, 2)",
    "lambda": "double = lambda x: 2 * x",
    "cached": "import functools\n@functools.wraps(abs)\ndef double(x):\n    return 2 * x",
    "warns": "def double(x):\n    import warnings; warnings.warn('slow'); return 2 * x",
    "float32": "def double(x):\n    return (2 * x.astype(np.float32)).astype(np.float64) * 0 + 2 * x",
    "mentions": "def double(x):\n    # not np.multiply!\n    '''Like np.multiply.'''\n    return x + x\n\n"
    "assert (double(np.ones(2)) == np.multiply(2, np.ones(2))).all()",
}


@pytest.mark.parametrize("name", FIRST)
def test_an_honest_cell_costs_nothing(grade, name):
    graded = grade(first=FIRST[name], settings={"timeout": 20})
    assert graded.scores == RIGHT
    assert graded.incidents == []
    outputs = graded.notebook.cells[[c.id for c in graded.notebook.cells].index("extra-000")].outputs
    failed = [output.ename for output in outputs if output.output_type == "error"]
    assert failed == {"fails": ["ZeroDivisionError"], "syntax error": ["SyntaxError"]}.get(name, [])


@pytest.mark.parametrize("name", ANSWERS)
def test_an_honest_answer_gets_its_points(grade, name):
    graded = grade(double=ANSWERS[name], settings={"call_seconds": 5.0})
    assert graded.scores[0] == 4.0, graded.verdicts["double"]
    assert graded.incidents == []


BANNED = {
    "in full": "def double(x):\n    return np.multiply(2, x)",
    "alias of an earlier cell": "def double(x):\n    return times(2, x)",
    "getattr": "def double(x):\n    return getattr(np, 'multi' + 'ply')(2, x)",
    "importlib": "def double(x):\n    import importlib\n    return importlib.import_module('numpy').multiply(2, x)",
    "default": "def double(x, f=np.multiply):\n    return f(2, x)",
    "method": "def double(x):\n    return np.multiply.outer(2, x)",
    "process": """
def double(x):
    import subprocess, sys
    code = f'import numpy; print(numpy.multiply(2, {x.tolist()}))'
    return eval(subprocess.run([sys.executable, '-c', code], capture_output=True).stdout)
""",
    "fresh import": """
def double(x):
    import sys
    del sys.modules['numpy']
    import numpy
    return numpy.multiply(2, x)
""",
}


@pytest.mark.parametrize("name", BANNED)
def test_a_shortcut_earns_nothing(grade, name):
    graded = grade(first="from numpy import multiply as times", double=BANNED[name])
    assert graded.scores[0] == 0.0
    if name == "fresh import":  # without NumPy the notebook cannot answer at all
        return
    assert graded.scores[2] == 3.0
    whys = {outcome["why"] for outcome in graded.verdicts["double"]["outcomes"]}
    assert whys == {"it uses numpy.multiply, which is the task itself"}


@pytest.mark.parametrize("name", ["in full", "alias of an earlier cell", "default"])
def test_a_shortcut_in_the_source_is_reported(grade, name):
    graded = grade(first="from numpy import multiply as times", double=BANNED[name])
    assert any("Its source uses numpy.multiply" in incident for incident in graded.incidents)
