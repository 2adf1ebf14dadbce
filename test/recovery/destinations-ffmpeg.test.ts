import t from 'tap';
import { ffmpegMustNotPush } from '../helpers/ffmpeg-pushes.ts';

// The same faults with push_engine=ffmpeg, whose process alone is tested in test/integration/ffmpeg-pusher.test.ts.
process.env['PUSH_ENGINE'] = 'ffmpeg';
const skip = process.env['LONG_TESTS'] === '1' ? ffmpegMustNotPush : 'only with LONG_TESTS=1';
if (skip) t.pass(skip, { skip: true });
else await import('./destinations.test.ts');
