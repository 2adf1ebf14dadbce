import t from 'tap';
import { ffmpegMustNotPush } from '../helpers/ffmpeg-pushes.ts';

// The same faults with push_engine=ffmpeg.
process.env['PUSH_ENGINE'] = 'ffmpeg';
if (ffmpegMustNotPush) t.pass(ffmpegMustNotPush, { skip: true });
else await import('./sources.test.ts');
