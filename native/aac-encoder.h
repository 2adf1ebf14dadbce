/* AAC-LC (ISO/IEC 14496-3) at 48 kHz, of one or two channels; frames have two, of one channel both alike. */
#include <stdint.h>

enum { AAC_FRAME_SAMPLES = 1024, AAC_MAX_FRAME_BYTES = 2048 };

struct aac_encoder;

/* An encoder that needs so many bits a second on average, for all channels together; NULL when there is no memory. */
struct aac_encoder *aac_encoder_open(int channels, int bits_per_second);

/*
 * Takes AAC_FRAME_SAMPLES samples of each channel, full scale being 1, and writes one raw frame of at most AAC_MAX_FRAME_BYTES. It looks one frame ahead: the first call
 * writes nothing, and the frame of the second is the silence before the first sample together with the first 1024.
 * Returns the length of the frame in bytes.
 */
int aac_encoder_encode(struct aac_encoder *encoder, const float *const *samples, uint8_t *frame);

void aac_encoder_close(struct aac_encoder *encoder);
