import t from 'tap';
import { ffmpegMustNotPush } from '../helpers/ffmpeg-pushes.ts';

// The same faults, with an ffmpeg for each destination instead of the RTMP client of our own.
process.env['PUSH_ENGINE'] = 'ffmpeg';
if (ffmpegMustNotPush) t.pass(ffmpegMustNotPush, { skip: true });
else await import('./destinations.test.ts');
