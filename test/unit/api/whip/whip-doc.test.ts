import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';

const ROOT = join(import.meta.dirname, '../../../..');
const read = (path: string): string => readFileSync(join(ROOT, path), 'utf8');

t.test('the tests that the conformance table names exist', async (t) => {
  const text = read('docs/whip.md');
  const files = new Map(
    [...text.matchAll(/\*(\w+)\*(?: is)?\s+`(test\/[\w/.-]+)`/g)].map(([, name, path]) => [name!, read(path!)]),
  );
  t.strictSame([...files.keys()].sort(), ['browser', 'fragments', 'offers', 'requests', 'simulcast', 'strict']);
  const rows = [...text.matchAll(/^\| 4\.[\d.]+ \|.*\| (.+?) \|$/gm)];
  t.ok(rows.length > 20);
  for (const [, shownBy] of rows) {
    for (const reference of shownBy!.split('; ')) {
      const [, name, titles = ''] = /^(\w+)(?:, (.*))?/.exec(reference) ?? [];
      const source = files.get(name ?? '');
      if (!source) t.ok(/^`test\/.*`$/.test(reference) && read(reference.slice(1, -1)), reference);
      else
        for (const [, title] of titles.matchAll(/"([^"]+)"/g))
          t.match(source, new RegExp(`t\\.test\\(\\s*['"\`][^\\n]*${title}`), reference);
    }
  }
});
