// Which program this is: for the heads of files and reports.
#pragma once

namespace gan {

const char* version();  // "0.3.0"
const char* commit();   // of the sources, shortened; "unknown" when they were no git checkout

}  // namespace gan
