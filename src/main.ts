import { setFlagsFromString } from 'node:v8';

// Packets are much memory outside the heap behind small objects inside it. In a young generation that grows to its usual 16 MB they stay
// until the memory outside forces a collection of the whole heap: once a second with ten streams, a third of all that the gateway costs. A young
// generation that stays as small as it begins lets go of them early. It must be told before anything else is loaded: what has grown stays.
setFlagsFromString('--semi-space-growth-factor=1');
await import('./gateway-process.ts');
