import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';

/** The pages of the console: one shell around the content of each. */

export interface ConsoleFeatures {
  readonly isManager: boolean;
  readonly hasRooms: boolean;
  readonly hasCalls: boolean;
}

export interface ConsolePage {
  readonly path: string;
  readonly html: string;
}

interface PageSource {
  readonly path: string;
  readonly title: string;
  /** In `src/web/console/`. */
  readonly file: string;
  readonly script: string;
  /** Class of the main part. */
  readonly look?: string;
  /** Classic scripts that come before. */
  readonly scripts?: readonly string[];
  readonly styles?: readonly string[];
  /** Whether the page needs packages. */
  readonly hasPackages?: boolean;
  readonly isServed?: (features: ConsoleFeatures) => boolean;
}

const PAGES: readonly PageSource[] = [
  {
    ...{ path: '/', title: 'Live', file: 'app.html', script: 'app/main.js', look: 'app', hasPackages: true },
    styles: ['packages/uplot.css', 'app.css'],
  },
  {
    ...{ path: '/console/publish.html', title: 'Publish', file: 'publish.html', script: 'main.js' },
    scripts: ['mpegts.js'],
  },
  {
    ...{ path: '/console/whip.html', title: 'Publish with WHIP, play with WHEP', file: 'whip.html', script: 'whip.js' },
  },
  {
    ...{ path: '/console/rooms.html', title: 'Rooms', file: 'rooms.html', script: 'rooms.js', look: 'rooms' },
    isServed: ({ hasRooms }) => hasRooms,
  },
  {
    ...{ path: '/console/calls.html', title: 'Calls', file: 'calls.html', script: 'calls.js', look: 'rooms' },
    isServed: ({ hasCalls }) => hasCalls,
  },
  {
    ...{ path: '/console/nodes.html', title: 'Nodes of the cluster', file: 'nodes.html', script: 'nodes.js' },
    ...{ look: 'nodes', isServed: ({ isManager }) => isManager },
  },
];

/** `needs`: the action without which the page shows nothing. */
const NAVIGATION: readonly (readonly [name: string, path: string, needs: string])[] = [
  ['Live', '/#/', 'read'],
  ['Destinations', '/#/destinations', 'read'],
  ['Publish', '/console/publish.html', 'publish'],
  ['Recordings', '/#/recordings', 'read'],
  ['Rooms', '/console/rooms.html', 'read'],
  ['Calls', '/console/calls.html', 'read'],
  ['Nodes', '/console/nodes.html', 'read'],
  ['Settings', '/#/settings', 'admin'],
  ['Events', '/#/events', 'read'],
];
/** At the nodes of a cluster only: each has its own. */
const AT_NODES = new Set(['/#/recordings', '/#/settings']);

const require = createRequire(import.meta.url);
const inPackage = (name: string, path: string): string => {
  const entry = require.resolve(name);
  const folder = `/node_modules/${name}/`;
  return entry.slice(0, entry.lastIndexOf(folder) + folder.length) + path;
};

/** Modules of packages as the packages have them, by the names that the pages import. */
const MODULES: readonly (readonly [name: string, file: string, path: string])[] = [
  ['preact', 'preact.js', inPackage('preact', 'dist/preact.mjs')],
  ['preact/hooks', 'preact-hooks.js', inPackage('preact', 'hooks/dist/hooks.mjs')],
  ['htm', 'htm.js', inPackage('htm', 'dist/htm.mjs')],
  ['htm/preact', 'htm-preact.js', inPackage('htm', 'preact/index.mjs')],
  ['@preact/signals', 'signals.js', inPackage('@preact/signals', 'dist/signals.mjs')],
  ['@preact/signals-core', 'signals-core.js', inPackage('@preact/signals-core', 'dist/signals-core.mjs')],
  ['uplot', 'uplot.js', inPackage('uplot', 'dist/uPlot.esm.js')],
];

/** Files of packages: the paths they are served at, and where they are. */
export const PACKAGE_FILES: readonly (readonly [path: string, file: string])[] = [
  ...MODULES.map(([, file, path]) => [`/console/packages/${file}`, path] as const),
  ['/console/packages/uplot.css', inPackage('uplot', 'dist/uPlot.min.css')],
  ['/console/mpegts.js', require.resolve('mpegts.js/dist/mpegts.js')],
];

/** Names of modules become URLs in the page, so that no file is rewritten. */
const IMPORT_MAP = JSON.stringify({
  imports: Object.fromEntries(MODULES.map(([name, file]) => [name, `./console/packages/${file}`])),
});

/** Allows the import map of a page, which cannot be a file, in a policy without `unsafe-inline`; nothing where it has none. */
export function importMapHash(html: string): string | undefined {
  const map = /<script type="importmap">(.*?)<\/script>/s.exec(html)?.[1];
  return map === undefined ? undefined : `'sha256-${createHash('sha256').update(map).digest('base64')}'`;
}

/** Reads the pages that these features have. */
export async function readPages(features: ConsoleFeatures): Promise<ConsolePage[]> {
  const read = (file: string): Promise<string> =>
    readFile(fileURLToPath(new URL(`../web/console/${file}`, import.meta.url)), 'utf8');
  const shell = await read('shell.html');
  const pages = PAGES.filter(({ isServed }) => isServed?.(features) ?? true);
  const served = new Set(pages.map(({ path }) => path));
  const links = NAVIGATION.filter(
    ([, path]) => (path.startsWith('/#') || served.has(path)) && !(features.isManager && AT_NODES.has(path)),
  );
  return Promise.all(
    pages.map(async (page) => ({ path: page.path, html: fill(shell, page, await read(page.file), links) })),
  );
}

function fill(shell: string, page: PageSource, content: string, links: typeof NAVIGATION): string {
  const isFirst = page.path === '/';
  const files = isFirst ? 'console/' : '';
  // All URLs are relative: a reverse proxy may serve the console below a path.
  const urlOf = (path: string): string => (isFirst ? `.${path}` : `..${path}`);
  const items = links.map(([name, path, needs]) => {
    const current = path === page.path ? ' aria-current="page"' : '';
    return `<li><a href="${urlOf(path)}" data-needs="${needs}"${current}>${name}</a></li>`;
  });
  const head = [
    ...(page.styles ?? []).map((name) => `<link rel="stylesheet" href="${files}${name}">`),
    ...(page.hasPackages ? [`<script type="importmap">${IMPORT_MAP}</script>`] : []),
    ...(page.scripts ?? []).map((name) => `<script src="${files}${name}" defer></script>`),
    `<script src="${files}${page.script}" type="module"></script>`,
  ];
  const values: Readonly<Record<string, string>> = {
    ...{ title: page.title, files, root: urlOf('/'), look: page.look ?? '', content: content.trim() },
    ...{ head: head.join('\n    '), links: items.join('\n          ') },
  };
  return shell.replace(/\{\{(\w+)\}\}/g, (_, name: string) => values[name]!);
}
