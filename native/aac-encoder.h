/* AAC-LC (ISO/IEC 14496-3) at 48 kHz. Input has one or two channels; frames always have two, both alike if one goes in. */
#include <stdint.h>

enum { AAC_FRAME_SAMPLES = 1024, AAC_MAX_FRAME_BYTES = 2048 };

struct aac_encoder;

/* Opens an encoder with this average bit rate of all channels together; NULL if there is no memory. The bandwidth follows from the bit rate of a channel. */
struct aac_encoder *aac_encoder_open(int channels, int bits_per_second);

/*
 * Takes AAC_FRAME_SAMPLES samples of each channel, full scale being 1, and writes one raw frame of at most AAC_MAX_FRAME_BYTES. It looks one frame ahead: the first
 * call writes nothing, and the second writes the silence before the first sample together with the first 1024.
 * Returns the length of the frame in bytes.
 */
int aac_encoder_encode(struct aac_encoder *encoder, const float *const *samples, uint8_t *frame);

void aac_encoder_close(struct aac_encoder *encoder);
