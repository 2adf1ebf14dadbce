/**
 * Runs what needs `load` cores each, as long as `capacity` cores are enough for all at once. The longest start first: none of them is left
 * to run alone at the end.
 *
 * @template {{ seconds: number, load: number }} Run
 * @param {number} capacity cores; what needs more runs alone
 * @param {Run[]} runs
 * @param {(run: Run) => Promise<void>} start
 */
export async function runWithin(capacity, runs, start) {
  const waiting = runs.toSorted((a, b) => b.seconds - a.seconds);
  const running = new Map();
  while (waiting.length > 0 || running.size > 0) {
    const used = [...running.values()].reduce((sum, load) => sum + load, 0);
    const next = waiting.findIndex(({ load }) => running.size === 0 || used + load <= capacity + 1e-6);
    if (next < 0) {
      await Promise.race(running.keys());
      continue;
    }
    const [run] = waiting.splice(next, 1);
    const done = start(run).finally(() => running.delete(done));
    running.set(done, run.load);
  }
}

/** The items in at most `count` lists of about the same duration. @template Item @param {Item[]} items @param {(item: Item) => number} secondsOf */
export function inLists(items, count, secondsOf) {
  const lists = Array.from({ length: Math.min(count, items.length) }, () => ({ items: [], seconds: 0 }));
  for (const item of items.toSorted((a, b) => secondsOf(b) - secondsOf(a))) {
    const shortest = lists.reduce((least, list) => (list.seconds < least.seconds ? list : least));
    shortest.items.push(item);
    shortest.seconds += secondsOf(item);
  }
  return lists;
}
