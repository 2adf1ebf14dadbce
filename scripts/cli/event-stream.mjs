import { setTimeout as sleep } from 'node:timers/promises';
import { EXIT } from './failure.mjs';

/** Milliseconds until a lost connection is opened again. */
const RETRY_MS = 2000;

/**
 * The events of the gateway, from GET /api/v1/events: those that it remembers, then with `follow` those that come. A lost
 * connection is opened again where it ended.
 *
 * @param {import('./api.mjs').Api} api @param {boolean} [follow]
 */
export async function* readEvents(api, follow = false) {
  let last = '';
  for (let isFirst = true; ; isFirst = false) {
    try {
      const headers = { accept: 'text/event-stream', ...(last && { 'last-event-id': last }) };
      const response = await api.open('api/v1/events?only=events', { headers });
      for await (const { id, event, data } of messages(response.body)) {
        if (id) last = id;
        const content = JSON.parse(data);
        if (event === 'snapshot') yield* content.timeline;
        if (event === 'event') yield content;
        if (event === 'snapshot' && !follow) return;
      }
    } catch (error) {
      if (isFirst || !follow || error.exitCode === EXIT.denied) throw error;
    }
    if (!follow) return;
    process.stderr.write('The connection is lost; trying again.\n');
    await sleep(RETRY_MS);
  }
}

/** The messages of a stream of server-sent events. @param {AsyncIterable<Uint8Array>} body */
async function* messages(body) {
  let rest = '';
  const decoder = new TextDecoder();
  for await (const chunk of body) {
    rest += decoder.decode(chunk, { stream: true });
    const blocks = rest.split('\n\n');
    rest = blocks.pop() ?? '';
    for (const block of blocks) {
      const fields = Object.fromEntries(
        block
          .split('\n')
          .flatMap((line) =>
            line.startsWith(':') ? [] : [[line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 2)]],
          ),
      );
      if (fields.data) yield { id: fields.id, event: fields.event, data: fields.data };
    }
  }
}
