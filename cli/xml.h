/* SPDX-License-Identifier: MIT */
/* Text as the content or the attribute of an XML element.  Not a writer of elements. */
#ifndef CLI_XML_H
#define CLI_XML_H

#include "base/buf.h"

/* What is no UTF-8, or no character of XML, becomes U+FFFD. */
void xml_text(struct buf *b, const char *text);

#endif
