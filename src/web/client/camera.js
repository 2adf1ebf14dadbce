import { ClientError } from './errors.js';

/**
 * @type {Record<string, [import('./errors.js').ClientErrorCode, string]>} The names are those of the Media Capture
 * specification, 10.2.
 */
const FAILURES = {
  NotAllowedError: [
    'PERMISSION_DENIED',
    'The browser does not allow this page to use the camera or the microphone. Allow both for this page, then try again.',
  ],
  NotFoundError: ['DEVICE_NOT_FOUND', 'No camera or microphone was found. Plug one in, then try again.'],
  NotReadableError: [
    'DEVICE_BUSY',
    'The camera or the microphone is in use by another program. Close that program, then try again.',
  ],
  OverconstrainedError: [
    'CONSTRAINTS',
    'No camera or microphone supports the requested settings. Choose a lower resolution.',
  ],
};

/**
 * Opens the camera and the microphone.
 *
 * @param {MediaStreamConstraints} [constraints] both by default
 * @returns {Promise<MediaStream>}
 * @throws {ClientError} its message is for the user
 */
export async function openCamera(constraints = { audio: true, video: true }) {
  // Browsers hide the devices from pages that are not a secure context.
  if (!navigator.mediaDevices)
    throw new ClientError(
      'INSECURE_CONTEXT',
      'Browsers allow the camera only on pages that come over https or from http://127.0.0.1. Open this page at such an address.',
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
