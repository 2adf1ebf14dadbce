// Runs several files of tests in one process, because most of the time of a small file is spent on loading tap and the code under test.
// Usage: TEST_FILES='["a.test.ts", "b.test.ts"]' node batch.mjs NUMBER. The number becomes part of the name of each test's directory,
// so that batches can run in parallel.
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import t from 'tap';

for (const file of JSON.parse(process.env['TEST_FILES'] ?? '[]')) {
  await import(pathToFileURL(path.resolve(file)).href);
  // Tests run in the order in which they were added: the next file is loaded when all tests of this one have ended.
  await t.test(file, async (end) => end.pass('its tests have ended'));
}
