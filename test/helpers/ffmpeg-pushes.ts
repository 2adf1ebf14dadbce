import { checkFfmpeg } from '../../src/ffmpeg/ffmpeg-abilities.ts';
import { toGatewayError } from '../../src/errors.ts';

/** Why the installed ffmpeg cannot push, as the reason to skip a test; `false` if it can. */
export const ffmpegMustNotPush: string | false = await checkFfmpeg({ pushes: true }).then(
  () => false as const,
  (error: unknown) => toGatewayError(error, 'SETUP_INCOMPLETE').message,
);
