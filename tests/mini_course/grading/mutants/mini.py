from grading.audit import mutant, variant


@mutant("double", hint="The array that was passed in has changed.")
def doubles_in_place(x):
    x *= 2
    return x


@mutant("double", hint="This is a square, not a double.")
def squares(x):
    return x**2


@mutant("quadruple", hint="This is only twice as much.")
def forgets_one(x):
    return double(x)


@mutant("halve", hint="Whole numbers only?")
def floors(x):
    return x // 2


@variant("double")
def with_a_loop(x):
    return np.array([2 * value for value in x.ravel()]).reshape(x.shape)


@variant("quadruple")
def at_once(x):
    return 4 * x


@variant("halve")
def by_product(x):
    return 0.5 * x
