import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import t from 'tap';

const MAIN = join(import.meta.dirname, '../../src/main.ts');

t.test('--check reports the settings and ends', async (t) => {
  const folder = t.testdir({ good: 'http.port=0\nrtmp.port=1935\n', bad: 'http.port=x\nlog_level=loud\n' });
  const check = (name: string) =>
    spawnSync(process.execPath, [MAIN, '--check', '--config', join(folder, name)], { encoding: 'utf8' });
  t.match(check('good'), {
    status: 0,
    stdout: `Ignored, without a meaning here: rtmp.port\n${join(folder, 'good')}: the settings are valid.\n`,
    stderr: '',
  });
  t.match(check('bad'), { status: 2, stdout: '', stderr: /bad:1: http\.port must be .*\n.*bad:2: log_level must be/ });
  t.match(check('missing'), { status: 2, stderr: /missing cannot be read \(ENOENT\)/ });
});
