import { getHeapSpaceStatistics, setFlagsFromString } from 'node:v8';

/** V8's own value. */
const DEFAULT_GROWTH_FACTOR = 2;
/**
 * A young generation that is still smaller after the check has not grown. It begins with 1 MB; V8 lets it grow to 32
 * MB. Bytes.
 */
const GROWN = 6 * 2 ** 20;
/** Live objects of the check, a few megabytes: without the flag V8 grows the young generation for them. */
const CHECK_OBJECTS = 60_000;

/**
 * Keeps V8's young generation small. Packets are large buffers outside the heap behind small objects inside it. In a
 * young generation that has grown they stay until the external memory forces a collection of the whole heap: once a
 * second with ten streams, a third of the gateway's CPU. Has to be called before other modules are loaded, because what
 * has grown stays.
 */
export function limitYoungGeneration(): void {
  setFlagsFromString('--semi-space-growth-factor=1');
}

/** Undoes {@link limitYoungGeneration}. */
export function unlimitYoungGeneration(): void {
  setFlagsFromString(`--semi-space-growth-factor=${DEFAULT_GROWTH_FACTOR}`);
}

/** Whether the flag has the intended effect; takes about 10 ms. */
export function isYoungGenerationLimited(): boolean {
  const kept = Array.from({ length: CHECK_OBJECTS }, (_, index) => ({ index, more: [index] }));
  const space = getHeapSpaceStatistics().find(({ space_name: name }) => name === 'new_space');
  return kept.length > 0 && space !== undefined && space.space_size < GROWN;
}
