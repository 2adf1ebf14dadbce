import { closeSync, openSync } from 'node:fs';

/** For a child: a pair for each of its three pipes, and one by which it tells that the program could be run; and as many for whoever is quicker. */
const DESCRIPTORS = 16;

/** What is wrong where there are none, and the remedy. */
export const NO_DESCRIPTORS =
  'there are no file descriptors left; raise their limit (ulimit -n, LimitNOFILE= in a unit of systemd)';

/**
 * Whether there are file descriptors for a child's pipes. Without them `spawn` returns a child that has no `stdin` and no `stdout` (nodejs/node
 * child_process.js: "there is no point in continuing"), and fluent-ffmpeg, which uses them at once, throws where nobody can catch it.
 */
export function hasDescriptorsForChild(): boolean {
  const opened: number[] = [];
  try {
    while (opened.length < DESCRIPTORS) opened.push(openSync('/dev/null', 'r'));
    return true;
  } catch {
    return false;
  } finally {
    for (const descriptor of opened) closeSync(descriptor);
  }
}
