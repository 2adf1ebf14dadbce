import { setFlagsFromString } from 'node:v8';

// Packets are much memory outside the heap behind small objects inside it. In a young generation that grows to its usual 16 MB they stay
// until the memory outside forces a collection of the whole heap: once a second with ten streams, a third of all that the gateway costs. A young
// generation that stays as small as it begins lets go of them early. It must be told before anything else is loaded: what has grown stays.
setFlagsFromString('--semi-space-growth-factor=1');
// What lives longer than a few of its turns, in an out-buffer for one, counts as old, and the whole heap is collected whenever a tenth more of that
// has come: once a second with ten streams. Twice as much may come instead; that is 30 MB, and at ten streams with out-buffers a third of the gateway's time.
setFlagsFromString('--heap-growing-percent=100');
await import('./gateway-process.ts');
