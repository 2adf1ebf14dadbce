/** Loaded before a gateway whose memory is looked at: garbage that happens not to have been collected yet would be taken for a leak. */

/** Another thread lets go of the collected buffers, some milliseconds later. */
const BUFFERS_FREED_MS = 50;

process.on('message', () => {
  // What only a finalizer or a weak reference let go of in the first one goes with the second.
  global.gc!();
  setImmediate(() => {
    global.gc!();
    setTimeout(() => process.send!(process.memoryUsage()), BUFFERS_FREED_MS);
  });
});
