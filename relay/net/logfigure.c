/*
 * logfigure - numbers as a log line shows them.
 */
#include "relay/net/logfigure.h"

/* What printf would do, in a tenth of its time; a line has a dozen numbers. */
void logfigure_number(struct buffer *b, uint64_t n)
{
    char digits[20];
    size_t at = sizeof digits;

    do {
        digits[--at] = (char)('0' + n % 10);
        n /= 10;
    } while (n);
    buffer_put(b, span_make(digits + at, sizeof digits - at));
}

void logfigure_status(struct buffer *b, struct status s)
{
    logfigure_number(b, s.class);
    buffer_put_byte(b, '.');
    logfigure_number(b, s.subject);
    buffer_put_byte(b, '.');
    logfigure_number(b, s.detail);
}

/* Two significant digits, at most two of them behind the point: 0.12, 1.2, 34.
 */
void logfigure_delay(struct buffer *b, int64_t ms)
{
    unsigned long long left = ms > 0 ? (unsigned long long)ms : 0;
    unsigned long long scale = left < 995 ? 100 : left < 9950 ? 10 : 1;
    unsigned long long unit = 1000 / scale;

    left = (left + unit / 2) / unit;
    while (scale > 1 && left % 10 == 0) {
        left /= 10;
        scale /= 10;
    }
    logfigure_number(b, left / scale);
    if (scale == 1)
        return;
    buffer_put_byte(b, '.');
    if (left % scale < scale / 10)
        buffer_put_byte(b, '0');
    logfigure_number(b, left % scale);
}
