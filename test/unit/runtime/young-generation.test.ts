import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import t from 'tap';

const MODULE = new URL('../../../src/runtime/young-generation.ts', import.meta.url).href;

/** Whether the check says that the young generation is limited, in a process of its own that has called `before`. */
async function isLimited(before: string): Promise<string> {
  const script = `import * as young from '${MODULE}'; ${before} console.log(young.isYoungGenerationLimited());`;
  const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', script]);
  return stdout.trim();
}

t.test('the flag has an effect, which the check sees', async (t) => {
  t.equal(await isLimited('young.limitYoungGeneration();'), 'true');
  t.equal(await isLimited(''), 'false');
  t.equal(await isLimited('young.limitYoungGeneration(); young.unlimitYoungGeneration();'), 'false');
});
