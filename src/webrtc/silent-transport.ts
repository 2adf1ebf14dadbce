import { setTimeout as sleepFor } from 'node:timers/promises';

/** Milliseconds without media and RTCP: video of a still screen has one frame in a second. */
const SILENT_MS = 1500;
const POLL_MS = 150;

interface Received {
  getStats(): Promise<readonly { readonly bytesReceived: number }[]>;
}

/**
 * Whether nothing arrives over a transport for a time. ICE checks do not count. Resolves as soon as something arrives.
 */
export async function isSilent(
  transport: Received,
  sleep: (ms: number) => Promise<unknown> = sleepFor,
): Promise<boolean> {
  const received = async (): Promise<number> => (await transport.getStats())[0]?.bytesReceived ?? 0;
  try {
    const before = await received();
    for (let waitedMs = 0; waitedMs < SILENT_MS; waitedMs += POLL_MS) {
      await sleep(POLL_MS);
      if ((await received()) !== before) return false;
    }
    return true;
  } catch {
    return true; // It was closed meanwhile.
  }
}
