// Runs several files of tests in one process, one after the other, because most of the time of a small file is spent on loading tap and
// the code under test. Each file gets a test of its own as `tap`: its limits, hooks, teardown and test directories are those that it has
// when it runs alone.
// Usage: TEST_FILES='["a.test.ts", "b.test.ts"]' TEST_FILE_TIMEOUT_S=120 node batch.mjs
import { registerHooks } from 'node:module';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import t from 'tap';
import { tapOfFile } from './tap-of-file.mjs';

const files = JSON.parse(process.env['TEST_FILES'] ?? '[]');
const urlOf = (file) => pathToFileURL(path.resolve(file)).href;
const urls = new Set(files.map(urlOf));

registerHooks({
  resolve(specifier, context, next) {
    if (specifier !== 'tap' || !urls.has(context.parentURL)) return next(specifier, context);
    // The query makes it a module of its own for each file.
    const url = new URL('tap-of-file.mjs', import.meta.url);
    url.search = context.parentURL;
    return { url: url.href, format: 'module', shortCircuit: true };
  },
});

for (const file of files) {
  // A test that nothing will end has ended all: the event loop was empty.
  if (t.ended) break;
  // Says which file runs if the process ends.
  t.comment(`file: ${file}`);
  await t.test(file, { timeout: Number(process.env['TEST_FILE_TIMEOUT_S']) * 1000 }, async (test) => {
    test.testdirName = path.resolve('.tap/fixtures', file.replace(/[^a-zA-Z0-9._-]+/g, '-'));
    tapOfFile.set(urlOf(file), test);
    await import(urlOf(file));
  });
}
// What a file has left open does not delay the results of all.
t.end();
