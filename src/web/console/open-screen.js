/**
 * Opens a screen, a window or a tab, with its audio if the browser offers it, otherwise with the microphone.
 *
 * @param {MediaTrackConstraints} size
 * @returns {Promise<MediaStream>}
 * @throws {Error} its message is for the user
 */
export async function openScreen(size) {
  if (!navigator.mediaDevices?.getDisplayMedia)
    throw new Error('This browser cannot share a screen. Phones cannot; on a computer use https or http://127.0.0.1.');
  const screen = await navigator.mediaDevices.getDisplayMedia({ video: size, audio: true }).catch((error) => {
    const isRefused = error.name === 'NotAllowedError';
    throw new Error(
      isRefused
        ? 'No screen was chosen. Press Publish again and choose one; the system may have to allow it to the browser.'
        : `The screen could not be opened: ${error.message}`,
      { cause: error },
    );
  });
  if (screen.getAudioTracks().length > 0) return screen;
  // Without a microphone, or without permission for it, the screen alone is published.
  const microphone = await navigator.mediaDevices.getUserMedia({ audio: true }).catch(() => undefined);
  for (const track of microphone?.getAudioTracks() ?? []) screen.addTrack(track);
  return screen;
}
