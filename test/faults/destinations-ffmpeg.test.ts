// The same faults, with an ffmpeg for each destination instead of the RTMP client of our own.
process.env['PUSH_ENGINE'] = 'ffmpeg';
await import('./destinations.test.ts');
