/** Milliseconds that blocked threads get to finish before the process is killed. */
const GRACE_MS = 500;
const POLL_MS = 20;

/**
 * Operations on Node's thread pool, as `process.getActiveResourcesInfo()` names them: files, name lookups, crypto.
 * `process.exit()` waits for them without a limit, and one that opens a named pipe never ends.
 */
const THREAD_POOL_REQUEST = /^(?:FSReq|GetAddrInfoReq|GetNameInfoReq|WORKER|.*Job$)/;

/** Ends this process with `code`, or with SIGKILL when a thread of its pool is blocked. */
export async function endProcess(code: number, onKill: (blocked: readonly string[]) => void): Promise<never> {
  const deadline = performance.now() + GRACE_MS;
  let blocked = blockedRequests();
  while (blocked.length > 0 && performance.now() < deadline) {
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    blocked = blockedRequests();
  }
  if (blocked.length > 0) {
    onKill(blocked);
    process.kill(process.pid, 'SIGKILL');
  }
  return process.exit(code);
}

const blockedRequests = (): string[] =>
  process.getActiveResourcesInfo().filter((resource) => THREAD_POOL_REQUEST.test(resource));
