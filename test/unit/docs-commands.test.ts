import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Command } from 'commander';
import t from 'tap';
import { createProgram } from '../../scripts/cli/program.mjs';
import { parseProperties } from '../../src/config/properties.ts';
import { SETTING_KEYS, SettingsSchema } from '../../src/config/schema.ts';
import { createHttpApp } from '../helpers/http-app.ts';

/** What the documents tell readers to type exists. */

const ROOT = join(import.meta.dirname, '../..');
const read = (path: string): string => readFileSync(join(ROOT, path), 'utf8');
const DOCUMENTS = [
  'README.md',
  'CONTRIBUTING.md',
  ...readdirSync(join(ROOT, 'docs'), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.md'))
    .map((name) => `docs/${name}`),
];
const KEYS: ReadonlySet<string> = new Set(SETTING_KEYS);

interface Schema {
  readonly $ref?: string;
  readonly properties?: Readonly<Record<string, unknown>>;
}
interface OpenApi {
  readonly paths: Record<string, Record<string, { requestBody?: { content: Record<string, { schema: Schema }> } }>>;
  readonly components: { readonly schemas: Readonly<Record<string, Schema>> };
}
/** That it has the registered routes is proved by the test of the document. */
const openapi = JSON.parse(read('docs/openapi.json')) as OpenApi;

interface Block {
  readonly document: string;
  readonly language: string;
  readonly text: string;
}

const FENCED = /^( *)```(\w*)\n(.*?)^\1```/gms;
const BLOCKS: readonly Block[] = DOCUMENTS.flatMap((document) =>
  [...read(document).matchAll(FENCED)].map(([, indent, language, text]) => ({
    document,
    language: language!,
    text: text!.replaceAll(new RegExp(`^${indent}`, 'gm'), ''),
  })),
);
const SHELL = BLOCKS.filter(
  ({ language, text }) => language === 'sh' || (language === '' && /^(?:npm|npx) /.test(text)),
);

/** A comment, an operator, a redirection, or a word. */
const TOKEN = /#[^\n]*|[|&;\n]+|[<>]+|(?:'[^']*'|"(?:[^"\\]|\\.)*"|\\.|[^\s'"|&;<>#\\]|(?<=\S)#)+/gs;
const unquote = (word: string): string =>
  word.replace(/'([^']*)'|"((?:[^"\\]|\\.)*)"|\\(.)/gs, (_, single, double, escaped) => single ?? double ?? escaped);

/** The simple commands of a script, without redirections and assignments before them. */
function commandsOf(script: string): string[][] {
  const commands: string[][] = [[]];
  let redirected = false;
  for (const [token] of script.replaceAll(/\\\n/g, ' ').matchAll(TOKEN)) {
    const command = commands.at(-1)!;
    if (/^[|&;\n]/.test(token)) commands.push([]);
    else if (/^[<>]/.test(token)) redirected = true;
    else if (redirected) redirected = false;
    else if (!token.startsWith('#') && !(command.length === 0 && /^\w+=/.test(token))) command.push(unquote(token));
  }
  return commands.filter((command) => command.length > 0);
}

const inCode = (document: string): string[] =>
  [
    ...read(document)
      .replaceAll(FENCED, '')
      .matchAll(/`((?:npx|npm) [^`\n]+)`/g),
  ].map(([, code]) => code!);

const COMMANDS: ReadonlyMap<string, readonly string[]> = new Map(
  [
    ...SHELL.map(({ document, text }) => [document, text] as const),
    ...DOCUMENTS.flatMap((document) => inCode(document).map((code) => [document, code] as const)),
  ].flatMap(([document, script]) =>
    commandsOf(script)
      .filter((command) => !command.some((word) => /…|^COMMAND$|^\[options\]$/.test(word)))
      .map((command) => [`${document}: ${command.join(' ')}`, command] as const),
  ),
);
const named = (...names: string[]): [string, readonly string[]][] =>
  [...COMMANDS].filter(([, command]) => names.every((name, index) => command[index] === name));

/** The arguments that npm passes on. */
const afterDashes = (command: readonly string[]): readonly string[] =>
  command.includes('--') ? command.slice(command.indexOf('--') + 1) : [];

/** Parses with the program of the command line, and runs nothing. */
async function parse(args: readonly string[]): Promise<string> {
  const program = await createProgram();
  let reached = '';
  let complaint = '';
  const disarm = (command: Command): void => {
    command.configureOutput({ writeOut: () => undefined, writeErr: (text) => (complaint += text) });
    if (command.commands.length === 0) command.action(() => void (reached = command.name()));
    command.commands.forEach(disarm);
  };
  disarm(program);
  await program.parseAsync([...args], { from: 'user' }).catch((error: Error) => (complaint ||= error.message));
  return complaint || (reached ? '' : 'names no command');
}

t.test('blocks of shell commands are valid', async (t) => {
  t.ok(SHELL.length > 40);
  for (const { document, text } of SHELL) {
    const { status, stderr } = spawnSync('bash', ['-n'], { input: text, encoding: 'utf8' });
    t.equal(status, 0, `${document}: ${stderr || text.slice(0, 60)}`);
  }
});

t.test('commands of the command line parse', async (t) => {
  const found = named('npx', 'webrtc-transponder').filter(([, command]) => command.length > 2);
  t.ok(found.length > 25);
  for (const [name, command] of found) t.equal(await parse(command.slice(2)), '', name);
  for (const [name, command] of named('npm', 'start'))
    t.equal(await parse(['start', ...afterDashes(command)]), '', name);
});

t.test('a command that is wrong does not parse', async (t) => {
  for (const wrong of ['push begin a', 'push start', 'push list --finished', 'health now', 'streams --height 1'])
    t.not(await parse(wrong.split(' ')), '', wrong);
});

t.test('scripts of npm exist, and so do the tests and benchmarks that they are given', async (t) => {
  const { scripts } = JSON.parse(read('package.json')) as { scripts: Record<string, string> };
  const found = named('npm', 'run');
  t.ok(found.length > 15);
  for (const [name, [, , script]] of found) t.hasProp(scripts, script!, name);
  for (const [name, command] of named('npm', 'test'))
    for (const file of afterDashes(command)) t.ok(existsSync(join(ROOT, file)), name);
  for (const [name, command] of named('npm', 'run', 'bench')) {
    const [bench = '--help'] = afterDashes(command);
    if (bench !== '--help' && bench !== 'NAME')
      t.match(read('bench/main.ts'), new RegExp(`^  '?${bench}'?: \\{$`, 'm'), name);
  }
});

t.test('tokens are made as the documents say', async (t) => {
  const config = join(t.testdir({ properties: `jwt_secret=${'s'.repeat(48)}\n` }), 'properties');
  const found = named('npm', 'run', 'token').filter(([, command]) => command.includes('--'));
  t.ok(found.length >= 3);
  for (const [name, command] of found) {
    const args = ['src/access/token-main.ts', ...afterDashes(command), '--config', config];
    const token = execFileSync(process.execPath, args, { cwd: ROOT, encoding: 'utf8' });
    t.match(token, /^ey[\w-]+\.[\w-]+\.[\w-]+\n$/, name);
  }
});

t.test('blocks of settings name settings, with values that they take', async (t) => {
  const blocks = BLOCKS.filter(({ language }) => language === 'properties');
  t.ok(blocks.length > 12);
  for (const { document, text } of blocks)
    for (const { key, value } of parseProperties(text, document).properties) {
      t.ok(KEYS.has(key), `${document}: ${key}`);
      // What readers have to replace by a secret of their own has no right length.
      if (/^[A-Z-]+$|^\.\.\.$/.test(value) || value === '') continue;
      const { error } = SettingsSchema.safeParse({ [key]: value });
      t.strictSame(error?.issues, undefined, `${document}: ${key}=${value}`);
    }
});

t.test('requests of curl go to routes, with fields that these have', async (t) => {
  const found = named('curl').filter(([, command]) => command.some((word) => /^https?:/.test(word)));
  t.ok(found.length > 30);
  for (const [name, command] of found) {
    const url = new URL(command.find((word) => /^https?:/.test(word))!);
    const after = (option: string): string | undefined =>
      command.includes(option) ? command[command.indexOf(option) + 1] : undefined;
    const data = after('-d');
    const method = (after('-X') ?? (data === undefined ? 'GET' : 'POST')).toLowerCase();
    const path = Object.keys(openapi.paths).find(
      (route) =>
        openapi.paths[route]![method] && new RegExp(`^${route.replaceAll(/\{\w+\}/g, '[^/]+')}$`).test(url.pathname),
    );
    t.ok(path, name);
    if (path === undefined || data === undefined) continue;
    const schema = openapi.paths[path]![method]!.requestBody?.content['application/json']?.schema;
    const { properties = {} } = schema?.$ref
      ? openapi.components.schemas[schema.$ref.split('/').at(-1)!]!
      : (schema ?? {});
    for (const field of Object.keys(JSON.parse(data) as object)) t.hasProp(properties, field, `${name}: ${field}`);
  }
});

/** The rows of a table: the code in the first cell, and the verdict in the second one. */
function rowsOf(document: string, heading: string): { readonly names: string[]; readonly verdict: string }[] {
  const section = read(document)
    .split(/^## /m)
    .find((text) => text.startsWith(`${heading}\n`))!;
  return [...section.matchAll(/^\| ([^|]*`[^|]*) \| ([^|]*?) *\|/gm)].map(([, names, verdict]) => ({
    names: [...names!.matchAll(/`([^`]+)`/g)].map(([, name]) => name!),
    verdict: verdict!,
  }));
}

t.test('the guide for WCS says of each setting whether there is one', async (t) => {
  const rows = rowsOf('docs/migrate/from-wcs.md', 'Settings');
  t.ok(rows.length > 20);
  for (const { names, verdict } of rows)
    for (const name of names) t.equal(KEYS.has(name), /^(works|differs)$/.test(verdict), name);
});

t.test('the guide for WCS says of each method whether there is one', async (t) => {
  const rows = rowsOf('docs/migrate/from-wcs.md', 'REST methods');
  const { app, http } = await createHttpApp();
  t.teardown(() => app.close());
  const isRoute = (path: string): boolean => path in openapi.paths;
  const full = (name: string): string => (name.startsWith('/RESTCall') ? name : `/rest-api${name}`);
  for (const { names, verdict } of rows)
    for (const path of names.filter((name) => name.startsWith('/')).map(full))
      if (verdict !== 'not there') t.ok(isRoute(path), path);
      else if (!isRoute(path))
        t.equal((await http.inject({ method: 'POST', url: path.replace('…', 'x') })).statusCode, 501, path);
  const told = new Set(rows.flatMap(({ names }) => names.map(full)));
  for (const path of Object.keys(openapi.paths)) if (/^\/(rest-api|RESTCall)\//.test(path)) t.ok(told.has(path), path);
});

t.test('the guide for Red5 Pro names the server API', async (t) => {
  const rows = rowsOf('docs/migrate/from-red5-pro.md', 'Server API');
  const told = rows.flatMap(({ names }) =>
    names.filter((name) => name.startsWith('/')).map((name) => `/api/v1${name}`),
  );
  for (const path of told) t.hasProp(openapi.paths, path, path);
  const api = Object.keys(openapi.paths).filter((path) => path.startsWith('/api/v1/applications'));
  t.strictSame(
    api.filter((path) => path !== '/api/v1/applications' && !told.includes(path)),
    [],
  );
});
