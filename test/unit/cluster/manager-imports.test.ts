import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import t from 'tap';

const SRC = join(import.meta.dirname, '../../../src');

/** The files and packages that a file loads, directly or not, without those that it loads on demand and types. */
function loadedBy(entry: string): { readonly files: Set<string>; readonly packages: Set<string> } {
  const files = new Set<string>();
  const packages = new Set<string>();
  const visit = (file: string): void => {
    if (files.has(file) || file.endsWith('.json')) return;
    files.add(file);
    for (const [, specifier] of readFileSync(file, 'utf8').matchAll(
      /^(?:import|export)\s+(?!type\b)(?:[^'"]*?from\s+)?['"]([^'"]+)['"]/gm,
    )) {
      if (specifier!.startsWith('.')) visit(resolve(file, '..', specifier!));
      else packages.add(specifier!);
    }
  };
  visit(join(SRC, entry));
  return { files, packages };
}

t.test('a manager loads neither mediasoup nor ffmpeg', async (t) => {
  const { files, packages } = loadedBy('manager.ts');
  t.ok(packages.has('ioredis') && files.size > 50, 'the walk finds what is loaded');
  t.notOk(packages.has('mediasoup'));
  t.notOk(packages.has('fluent-ffmpeg'));
  for (const folder of ['webrtc', 'renditions', 'ffmpeg', 'rtmp'])
    t.strictSame(
      [...files].filter((file) => file.startsWith(join(SRC, folder))),
      [],
      folder,
    );
});

t.test('a gateway that runs alone does not load the client of Redis', async (t) => {
  const { packages } = loadedBy('gateway.ts');
  t.ok(packages.has('mediasoup'));
  t.notOk(packages.has('ioredis'));
  t.notOk(packages.has('@fastify/reply-from'));
});
