import t from 'tap';
import { middleOf, quantile, studentsFactor, sumOfSquares, varianceOf } from '../../../../src/media/rtp/statistics.ts';

t.test('quantiles lie between values', async (t) => {
  t.equal(quantile([3, 1, 2], 0.5), 2);
  t.equal(quantile([4, 1, 2, 3], 0.5), 2.5);
  t.equal(quantile([5], 0.75), 5);
});

t.test('outer values have no influence on the middle', async (t) => {
  t.equal(middleOf([1, 3]), 2);
  t.equal(middleOf([1, 2, 900]), 2);
  t.equal(middleOf([-500, 1, 2, 3, 900]), 2);
});

t.test('outliers count three times the error of the others', async (t) => {
  t.equal(sumOfSquares([1, 1, 1]), 3);
  t.equal(sumOfSquares([1, 1, 1, 1, 1_000_000]), 13);
  t.equal(varianceOf([1, 3]), 2);
});

t.test('quantiles of Student’s distribution', async (t) => {
  // From tables, for 95 and 99 % on both sides.
  for (const [freedom, certainty, expected] of [
    [3, 1.96, 3.182],
    [10, 1.96, 2.228],
    [10, 2.576, 3.169],
    [60, 2.576, 2.66],
  ] as const) {
    const found = studentsFactor(freedom, certainty);
    t.ok(Math.abs(found - expected) <= 0.02 * expected, `${freedom}, ${certainty}: ${found}`);
  }
});
