/** Loaded before a gateway whose memory is measured, so that uncollected garbage does not look like a leak. */

/** Another thread frees the collected buffers, some milliseconds later. */
const BUFFERS_FREED_MS = 50;

process.on('message', () => {
  // The second collection frees what finalizers and weak references released in the first.
  global.gc!();
  setImmediate(() => {
    global.gc!();
    setTimeout(() => process.send!(process.memoryUsage()), BUFFERS_FREED_MS);
  });
});
