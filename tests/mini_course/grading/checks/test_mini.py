import numpy as np
import pytest

FORBIDDEN = {"double": ["numpy.multiply"]}


@pytest.mark.task("double")
class TestDouble:
    @pytest.mark.weight(2)
    @pytest.mark.parametrize("shape", [(0,), (3,), (2, 3)])
    def test_every_element_is_doubled(self, student, shape):
        x = np.random.default_rng(0).normal(size=shape)
        np.testing.assert_allclose(student.double(x), 2 * x)

    def test_the_argument_is_left_alone(self, student):
        x = np.ones(3)
        assert np.array_equal(student.call("double", x).arguments[0], x)

    def test_the_shape_is_kept(self, student):
        assert np.shape(student.double(np.ones((2, 3)))) == (2, 3)


@pytest.mark.task("quadruple")
def test_four_times_as_much_comes_out(student):
    np.testing.assert_allclose(student.quadruple(np.arange(3.0)), [0, 4, 8])


@pytest.mark.task("halve")
def test_half_as_much_comes_out(student):
    np.testing.assert_allclose(student.halve(np.arange(3.0)), [0, 0.5, 1])
