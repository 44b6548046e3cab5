"""Characters by which languages are told apart: traditional from simplified Chinese, without a model."""

from __future__ import annotations

TRADITIONAL = (
    "們個來時說國這為學對會過還發經現點開電長門問間見話動體無與業東車書馬魚鳥龍風飛飯飲館買賣讓論語讀誰請謝識認計記許設試該詳課調"
    "談講證誤訊網線紅級細終結給絕統維總續職聽聲聯蘇處號術裝製複親覺觀規視覽訂討訓議譯護變貝負財責貨質費資賓賽贊趕跡軍軟轉輕較輪輸農"
    "邊達遠運進選遺鄉鄰醫釋針鐵銀錢錯鎮鏡關閃閉陽陰陳陸隊階際隨險雖雙雜難雲霧靈靜項順須預領頭題願類顧顯養驗驚鬥鮮麗黃齊齒歲歷歸"
    "氣漢濟滅溫準獎獨獲產畫當療盡監盤禮種稱穩範築約純組織編練縣罰義習聖膚臉興舊艱節葉蓋薦藝虛補"
)
"""The most frequent characters whose simplified form differs, and which do not occur in simplified texts."""
