/** Errors further away than this many times the one that three quarters do not exceed are outliers. */
const OUTLIER = 3;

export const meanOf = (values: readonly number[]): number =>
  values.reduce((sum, value) => sum + value, 0) / values.length;

/** @param share 0.5: the median */
export function quantile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  const position = share * (sorted.length - 1);
  const below = Math.floor(position);
  return sorted[below]! + (sorted[Math.ceil(position)]! - sorted[below]!) * (position - below);
}

/** The mean without the outer quarters. */
export function middleOf(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const outer = Math.round((sorted.length - 1) / 4);
  return meanOf(sorted.slice(outer, sorted.length - outer));
}

/** Of errors that are not negative, without the excess of outliers. */
export function sumOfSquares(errors: readonly number[]): number {
  const most = OUTLIER * quantile(errors, 0.75);
  return errors.reduce((sum, error) => sum + Math.min(error, most) ** 2, 0);
}

/** The variance of a single value. */
export function varianceOf(values: readonly number[]): number {
  const middle = middleOf(values);
  return sumOfSquares(values.map((value) => Math.abs(value - middle))) / (values.length - 1);
}

/**
 * How many standard errors a mean may be off: a quantile of Student's distribution, by Wallace's approximation.
 *
 * @param certainty as standard deviations of a normal distribution
 */
export function studentsFactor(freedom: number, certainty: number): number {
  const normal = (certainty * (8 * freedom + 3)) / (8 * freedom + 1);
  return Math.sqrt(freedom * Math.expm1(normal ** 2 / freedom));
}
