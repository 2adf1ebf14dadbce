import { readFileSync, writeFileSync } from 'node:fs';
import t from 'tap';
import { clientReference, REFERENCE_FILE } from '../../../../scripts/client-reference.ts';

t.test('the reference says what the library exports', async (t) => {
  const { html, complaints } = await clientReference();
  // UPDATE_CLIENT_REFERENCE=1 node scripts/test.mjs test/unit/web/client/reference.test.ts
  if (process.env['UPDATE_CLIENT_REFERENCE']) writeFileSync(REFERENCE_FILE, html);
  t.strictSame(complaints, [], 'every type is exported, and every link has an end');
  t.equal(readFileSync(REFERENCE_FILE, 'utf8'), html);
  const ids = new Set([...html.matchAll(/ id="([\w-]+)"/g)].map(([, id]) => id!));
  const links = [...html.matchAll(/href="#([\w-]+)"/g)].map(([, id]) => id!);
  t.strictSame(
    links.filter((id) => !ids.has(id)),
    [],
  );
  for (const name of ['session', 'publication', 'playback', 'room', 'pushapi', 'destinations', 'clienterror'])
    t.ok(ids.has(name), name);
  t.notMatch(html, /<script|style=/, 'the page is served without scripts');
});
