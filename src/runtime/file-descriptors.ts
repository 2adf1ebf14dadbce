import { closeSync, openSync } from 'node:fs';

/**
 * A child needs a pair for each of its three pipes and one that reports whether the program could be run; as many again
 * for concurrent openers.
 */
const DESCRIPTORS = 16;

/** The failure and its remedy. */
export const NO_DESCRIPTORS =
  'there are no file descriptors left; raise their limit (ulimit -n, LimitNOFILE= in a systemd unit)';

/**
 * Whether there are file descriptors for a child's pipes. Without them `spawn` returns a child that has no `stdin` and
 * no `stdout` (nodejs/node child_process.js: "there is no point in continuing"), and fluent-ffmpeg, which uses them at
 * once, throws where it cannot be caught.
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
