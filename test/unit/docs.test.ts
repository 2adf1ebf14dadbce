import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import t from 'tap';
import { SettingsSchema } from '../../src/config/schema.ts';

const ROOT = join(import.meta.dirname, '../..');
const read = (path: string): string => readFileSync(join(ROOT, path), 'utf8');

const INDEX = 'docs/README.md';
const DOCUMENTS = [
  'README.md',
  'CHANGELOG.md',
  'CONTRIBUTING.md',
  'SECURITY.md',
  'bench/HISTORY.md',
  'bench/README.md',
  'media/README.md',
  'scripts/mediasoup-worker/README.md',
  ...readdirSync(join(ROOT, 'docs'), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.md'))
    .map((name) => `docs/${name}`),
];

interface Link {
  readonly target: string;
  /** Path from the root of the project. */
  readonly path: string;
  readonly anchor: string | undefined;
}

/** The relative links of a document; links in code are none. */
function linksOf(document: string): Link[] {
  const text = read(document)
    .replace(/^ *```.*?^ *```$/gms, '')
    .replace(/`[^`\n]*`/g, '');
  return [...text.matchAll(/\]\(([^)\s]+)\)/g)]
    .map(([, target]) => target!)
    .filter((target) => !/^\w+:/.test(target))
    .map((target) => {
      const [file = '', anchor] = target.split('#');
      return { target, path: file ? relative(ROOT, join(ROOT, dirname(document), file)) : document, anchor };
    });
}

/** The anchors that GitHub gives to the headings of a document. */
function anchorsOf(document: string): string[] {
  return [
    ...read(document)
      .replace(/^ *```.*?^ *```$/gms, '')
      .matchAll(/^#+ (.+)$/gm),
  ].map(([, heading]) =>
    heading!
      .toLowerCase()
      .replace(/\[([^\]]*)\]\([^)]*\)/g, '$1')
      .replace(/[^\p{L}\p{N}_ -]/gu, '')
      .replaceAll(' ', '-'),
  );
}

t.test('links between documents lead to existing files and headings', async (t) => {
  for (const document of DOCUMENTS)
    for (const { target, path, anchor } of linksOf(document)) {
      t.ok(existsSync(join(ROOT, path)), `${document}: ${target}`);
      if (anchor !== undefined) t.ok(anchorsOf(path).includes(anchor), `${document}: ${target}`);
    }
});

t.test('the index links every document', async (t) => {
  const linked = new Set(linksOf(INDEX).map(({ path }) => path));
  for (const document of DOCUMENTS) if (document !== INDEX) t.ok(linked.has(document), document);
});

t.test('docs/settings.md shows the defaults of the settings', async (t) => {
  const defaults: Record<string, unknown> = SettingsSchema.parse({});
  const rows = [...read('docs/settings.md').matchAll(/^\| (`[^|]+`) \| ([^|]*) \|/gm)];
  t.ok(rows.length > 20);
  for (const [, names, values] of rows) {
    const shown = values!.split(',').map((value) => value.trim().replaceAll('`', ''));
    for (const [index, [, key]] of [...names!.matchAll(/`([^`]+)`/g)].entries()) {
      t.hasProp(defaults, key!);
      const value = defaults[key!];
      if (value !== undefined && typeof value !== 'object') t.equal(shown[index] ?? '', String(value), key!);
    }
  }
});
