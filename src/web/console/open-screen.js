/**
 * Opens a screen, a window or a tab, with its audio if the browser offers it.
 *
 * @param {MediaTrackConstraints} size
 * @returns {Promise<MediaStream>}
 * @throws {Error} its message is for the user
 */
export async function openScreen(size) {
  if (!navigator.mediaDevices?.getDisplayMedia)
    throw new Error('This browser cannot share a screen. Phones cannot; on a computer use https or http://127.0.0.1.');
  return navigator.mediaDevices.getDisplayMedia({ video: size, audio: true }).catch((error) => {
    const isRefused = error.name === 'NotAllowedError';
    throw new Error(
      isRefused
        ? 'No screen was chosen. Press Publish again and choose one; the system may have to allow it to the browser.'
        : `The screen could not be opened: ${error.message}`,
      { cause: error },
    );
  });
}

/**
 * Adds the microphone to a screen without audio. Without a microphone, or without permission for it, nothing is added.
 *
 * @param {MediaStream} screen
 * @param {MediaTrackConstraints} microphone
 */
export async function addMicrophone(screen, microphone) {
  if (screen.getAudioTracks().length > 0) return;
  const sound = await navigator.mediaDevices.getUserMedia({ audio: microphone }).catch(() => undefined);
  for (const track of sound?.getAudioTracks() ?? []) screen.addTrack(track);
}
