import { checkFfmpeg } from '../../src/ffmpeg/ffmpeg-abilities.ts';
import { toGatewayError } from '../../src/errors.ts';

/** Why the installed ffmpeg must not push, as a reason for skipping what asks it to; `false` where it may. */
export const ffmpegMustNotPush: string | false = await checkFfmpeg({ pushes: true }).then(
  () => false as const,
  (error: unknown) => toGatewayError(error, 'SETUP_INCOMPLETE').message,
);
