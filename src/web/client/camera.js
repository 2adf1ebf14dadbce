import { failure } from './errors.js';

/**
 * @type {Record<string, [import('./errors.js').ClientErrorCode, string]>} The names are those of the Media Capture
 * specification, 10.2.
 */
const FAILURES = {
  NotAllowedError: ['PERMISSION_DENIED', 'The browser does not allow this page to use the camera or the microphone.'],
  NotFoundError: ['DEVICE_NOT_FOUND', 'No camera or microphone was found.'],
  NotReadableError: ['DEVICE_BUSY', 'The camera or the microphone is in use by another program.'],
  OverconstrainedError: ['CONSTRAINTS', 'No camera or microphone supports the requested settings.'],
};

/**
 * Opens the camera and the microphone.
 *
 * @param {MediaStreamConstraints} [constraints] both by default
 * @returns {Promise<MediaStream>}
 * @throws {import('./errors.js').ClientError} its message is for the user
 */
export async function openCamera(constraints = { audio: true, video: true }) {
  const devices = secureDevices();
  try {
    return await devices.getUserMedia(constraints);
  } catch (error) {
    const [code, problem] = FAILURES[/** @type {Error} */ (error).name] ?? [
      'CAMERA',
      `The camera could not be opened: ${/** @type {Error} */ (error).message}`,
    ];
    throw failure(code, problem, error);
  }
}

/**
 * Lets the user choose a screen, a window or a tab. Browsers ask for a click first.
 *
 * @param {DisplayMediaStreamOptions} [options] video only by default
 * @returns {Promise<MediaStream>}
 * @throws {import('./errors.js').ClientError}
 */
export async function openScreen(options = { video: true }) {
  const devices = secureDevices();
  if (!devices.getDisplayMedia)
    throw failure('UNSUPPORTED_BROWSER', 'This browser cannot share the screen; browsers of phones cannot.');
  try {
    return await devices.getDisplayMedia(options);
  } catch (error) {
    if (/** @type {Error} */ (error).name === 'NotAllowedError')
      throw failure('PERMISSION_DENIED', 'The screen was not shared.', error);
    throw failure('CAMERA', `The screen could not be shared: ${/** @type {Error} */ (error).message}`, error);
  }
}

/** Browsers hide the devices from pages that are not a secure context. */
function secureDevices() {
  if (!navigator.mediaDevices)
    throw failure(
      'INSECURE_CONTEXT',
      'Browsers allow the camera only on pages that come over https or from http://127.0.0.1.',
    );
  return navigator.mediaDevices;
}
