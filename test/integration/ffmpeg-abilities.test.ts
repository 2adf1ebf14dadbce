import { execFileSync } from 'node:child_process';
import t from 'tap';
import { adaptOptions, checkFfmpeg } from '../../src/ffmpeg/ffmpeg-abilities.ts';
import { wrapFfmpeg } from '../helpers/wrapped-ffmpeg.ts';

const says = (version: string): string =>
  `if [ "$1" = -version ]; then echo "ffmpeg version ${version} Copyright"; exit; fi`;
const OPTIONS = ['-fps_mode', 'passthrough', '-f', 'flv'];

t.test('options have the names that each version knows', async (t) => {
  for (const [version, expected] of [
    ['4.4.2-0ubuntu0.22.04.1', '-vsync'],
    ['5.0', '-vsync'],
    ['5.1.9-0+deb12u1', '-fps_mode'],
    ['n7.1', '-fps_mode'],
    ['9.0.2-4', '-fps_mode'],
    ['N-118000-gabcdef', '-fps_mode'],
  ] as const) {
    await wrapFfmpeg(t, says(version));
    await checkFfmpeg({ pushes: false });
    t.strictSame(adaptOptions(OPTIONS), [expected, ...OPTIONS.slice(1)], version);
  }
});

t.test(
  'a version that ignores presets is refused for pushing: stream names would be lost, or be visible in its arguments',
  async (t) => {
    // What FFmpeg 9.0 does with `-fpre FILE`.
    await wrapFfmpeg(
      t,
      `${says('9.0.2-4')}\nfor argument; do shift; case $argument in -fpre|*.ffpreset) ;; *) set -- "$@" "$argument";; esac; done`,
    );
    await checkFfmpeg({ pushes: false });
    await t.rejects(checkFfmpeg({ pushes: true }), {
      code: 'SETUP_INCOMPLETE',
      message: /push_engine=ffmpeg: ffmpeg 9\.0\.2-4 ignores.*Set push_engine=rtmp/,
    });
  },
);

const major = Number(/^ffmpeg version n?(\d+)/.exec(execFileSync('ffmpeg', ['-version'], { encoding: 'utf8' }))?.[1]);
t.test(
  'a version that applies presets is accepted',
  { skip: major >= 9 && 'the installed version ignores them' },
  async (t) => {
    await t.resolves(checkFfmpeg({ pushes: true }));
  },
);

t.test('ffmpeg is not installed', async (t) => {
  process.env['FFMPEG_PATH'] = '/nowhere/ffmpeg';
  t.teardown(() => delete process.env['FFMPEG_PATH']);
  await t.rejects(checkFfmpeg({ pushes: false }), { code: 'SETUP_INCOMPLETE', message: /Install it/ });
});
