import { ClientError } from './errors.js';

/** @type {Record<string, [import('./errors.js').ClientErrorCode, string]>} The names are those of the Media Capture specification, 10.2. */
const FAILURES = {
  NotAllowedError: [
    'PERMISSION_DENIED',
    'The browser may not use the camera or the microphone. Allow both for this page, then try again.',
  ],
  NotFoundError: ['DEVICE_NOT_FOUND', 'No camera or microphone was found. Plug one in, then try again.'],
  NotReadableError: [
    'DEVICE_BUSY',
    'The camera or the microphone is in use by another program. Close that program, then try again.',
  ],
  OverconstrainedError: [
    'CONSTRAINTS',
    'No camera or microphone can do what was asked for. Ask for a smaller picture.',
  ],
};

/**
 * Opens the camera and the microphone.
 *
 * @param {MediaStreamConstraints} [constraints] both by default
 * @returns {Promise<MediaStream>}
 * @throws {ClientError} with a message for the user
 */
export async function openCamera(constraints = { audio: true, video: true }) {
  // Browsers hide the devices from pages that come neither over https nor from this computer.
  if (!navigator.mediaDevices)
    throw new ClientError(
      'INSECURE_CONTEXT',
      'Browsers give the camera only to pages that come over https or from http://127.0.0.1. Open this page at one of these.',
    );
  try {
    return await navigator.mediaDevices.getUserMedia(constraints);
  } catch (error) {
    const [code, message] = FAILURES[/** @type {Error} */ (error).name] ?? [
      'CAMERA',
      `The camera could not be opened: ${/** @type {Error} */ (error).message}`,
    ];
    throw new ClientError(code, message, { cause: error });
  }
}
