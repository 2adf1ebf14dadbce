import { execFile } from 'node:child_process';
import { readFile, readdir } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import vm from 'node:vm';
import { gzipSync } from 'node:zlib';
import t from 'tap';
import * as library from '../../../../src/web/client/index.js';

const run = promisify(execFile);
const PACKAGE = path.resolve(import.meta.dirname, '../../../../packages/client');
const SOURCE = path.resolve(import.meta.dirname, '../../../../src/web/client');
const NAMES = Object.keys(library).sort();

t.before(() => run(process.execPath, [path.join(PACKAGE, 'build.mjs')]));

t.test('the package has the modules of the gateway, one script, and no dependencies', async (t) => {
  const { stdout } = await run('npm', ['pack', '--dry-run', '--json', '--ignore-scripts'], { cwd: PACKAGE });
  const modules = (await readdir(SOURCE)).filter((name) => name.endsWith('.js'));
  t.same(
    JSON.parse(stdout)[0]
      .files.map((file: { path: string }) => file.path)
      .sort(),
    ['LICENSE', 'README.md', 'package.json', ...['client.iife.js', ...modules].map((name) => `dist/${name}`)].sort(),
  );
  for (const name of modules)
    t.equal(
      await readFile(path.join(PACKAGE, 'dist', name), 'utf8'),
      await readFile(path.join(SOURCE, name), 'utf8'),
      name,
    );
  const manifest = JSON.parse(await readFile(path.join(PACKAGE, 'package.json'), 'utf8'));
  t.equal(manifest.dependencies, undefined);
  const entry = (await import(path.join(PACKAGE, manifest.exports['.']))) as object;
  t.same(Object.keys(entry).sort(), NAMES);
});

t.test('the script exposes the same names, below 15 kB', async (t) => {
  const script = await readFile(path.join(PACKAGE, 'dist/client.iife.js'), 'utf8');
  t.ok(gzipSync(script).length < 15_000);
  const page = vm.createContext({});
  vm.runInContext(script, page);
  t.same(Object.keys(page['WebRtcTransponder']).sort(), NAMES);
  const code = vm.runInContext("new WebRtcTransponder.ClientError('CAMERA', 'no').code", page);
  t.equal(code, 'CAMERA');
});
