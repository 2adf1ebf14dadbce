import { execFile } from 'node:child_process';
import { mkdir, readFile, readdir, symlink, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import vm from 'node:vm';
import { gzipSync } from 'node:zlib';
import t from 'tap';
import ts from 'typescript';
import * as library from '../../../../src/web/client/index.js';

const run = promisify(execFile);
const PACKAGE = path.resolve(import.meta.dirname, '../../../../packages/client');
const SOURCE = path.resolve(import.meta.dirname, '../../../../src/web/client');
const NAMES = Object.keys(library).sort();

const typesOf = (module: string): string => module.replace(/js$/, 'd.ts');

/** What a page with TypeScript writes. */
const CONSUMER = `
import { ClientError, PushApi, Session, type PublishOptions, type Transponder } from '@webrtc-transponder/client';

export async function goLive(stream: MediaStream, video: HTMLVideoElement): Promise<readonly Transponder[]> {
  const session = await Session.connect('wss://gateway.example:8443', { token: () => 'token' });
  const options: PublishOptions = { name: 'stream1', stream, rtmpUrl: 'rtmp://127.0.0.1:1935/live' };
  const publication = await session.publish(options);
  video.srcObject = publication.stream;
  const forget: () => void = publication.on('transponder', ({ status, reason, warnings = [] }) => {
    if (status === 'retrying') console.log(reason.length, warnings.map(({ remedy }) => remedy));
    // @ts-expect-error there is no such status
    if (status === 'flying') forget();
  });
  publication.on('state', (state: 'publishing' | 'resuming' | 'ended', info: string) => console.log(state, info));
  // @ts-expect-error there is no such event
  publication.on('nothing', () => {});
  const room = await session.room('live/room1', { name: 'Ada' });
  room.on('message', ({ from = 'guest', text }) => console.log(from.length, text.length));
  const api = new PushApi({ url: 'https://gateway.example/rest-api' });
  await api.startup({ streamName: 'stream1', platform: 'youtube', streamKey: 'key', standby: { text: 'Back soon' } });
  // @ts-expect-error the name of the stream is missing
  await api.startup({ rtmpUrl: 'rtmp://127.0.0.1:1935/live' });
  try {
    await session.play({ name: 'stream2' });
  } catch (error) {
    if (error instanceof ClientError && error.code === 'DISCONNECTED') console.log(error.message);
    // @ts-expect-error a code with a spelling mistake
    if (error instanceof ClientError && error.code === 'DISCONECTED') throw error;
  }
  return api.find({ streamName: 'stream1' });
}
`;

t.before(() => run(process.execPath, [path.join(PACKAGE, 'build.mjs')]));

t.test('the package has the modules of the gateway with their types, one script, and no dependencies', async (t) => {
  const { stdout } = await run('npm', ['pack', '--dry-run', '--json', '--ignore-scripts'], { cwd: PACKAGE });
  const modules = (await readdir(SOURCE)).filter((name) => name.endsWith('.js'));
  t.same(
    JSON.parse(stdout)[0]
      .files.map((file: { path: string }) => file.path)
      .sort(),
    [
      ...['LICENSE', 'README.md', 'package.json'],
      ...['client.iife.js', 'schemas.d.ts', 'wire.d.ts', ...modules, ...modules.map(typesOf)].map(
        (name) => `dist/${name}`,
      ),
    ].sort(),
  );
  for (const name of modules)
    t.equal(
      await readFile(path.join(PACKAGE, 'dist', name), 'utf8'),
      await readFile(path.join(SOURCE, name), 'utf8'),
      name,
    );
  const manifest = JSON.parse(await readFile(path.join(PACKAGE, 'package.json'), 'utf8'));
  t.equal(manifest.dependencies, undefined);
  const entry = (await import(path.join(PACKAGE, manifest.exports['.'].default))) as object;
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

t.test('a strict program is compiled against the types', async (t) => {
  const folder = t.testdir({});
  const scope = path.join(folder, 'node_modules/@webrtc-transponder');
  await mkdir(scope, { recursive: true });
  await symlink(PACKAGE, path.join(scope, 'client'));
  const file = path.join(folder, 'consumer.ts');
  await writeFile(file, CONSUMER);
  for (const [module, moduleResolution] of [
    [ts.ModuleKind.NodeNext, ts.ModuleResolutionKind.NodeNext],
    [ts.ModuleKind.ESNext, ts.ModuleResolutionKind.Bundler],
  ] as const) {
    const program = ts.createProgram([file], {
      ...{ module, moduleResolution, target: ts.ScriptTarget.ES2022, lib: ['lib.es2022.d.ts', 'lib.dom.d.ts'] },
      ...{ strict: true, exactOptionalPropertyTypes: true, noEmit: true, types: [], skipDefaultLibCheck: true },
    });
    t.strictSame(
      ts
        .getPreEmitDiagnostics(program)
        .map(
          ({ file, messageText }) => `${file?.fileName ?? ''}: ${ts.flattenDiagnosticMessageText(messageText, ' ')}`,
        ),
      [],
    );
    t.ok(
      program.getSourceFiles().some(({ fileName }) => fileName.endsWith('/dist/wire.d.ts')),
      'the types of the package',
    );
  }
});
