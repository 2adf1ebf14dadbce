/**
 * Server-sent events of a body. `EventSource` cannot send the key in a header. Comments come as events without a name.
 *
 * @param {ReadableStream<Uint8Array>} body
 */
export async function* readEvents(body) {
  const decoder = new TextDecoder();
  const reader = body.getReader();
  let rest = '';
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      const blocks = (rest + decoder.decode(value, { stream: true })).split('\n\n');
      rest = blocks.pop() ?? '';
      for (const block of blocks) {
        const fields = { event: '', data: '', id: '' };
        for (const line of block.split('\n')) {
          const [, name, text = ''] = /^(event|data|id): ?(.*)$/.exec(line) ?? [];
          if (name) fields[/** @type {keyof typeof fields} */ (name)] += text;
        }
        yield fields;
      }
    }
  } finally {
    await reader.cancel().catch(() => undefined);
  }
}
